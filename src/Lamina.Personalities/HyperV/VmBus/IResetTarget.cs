namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>A device that a reset of the machine changes beside its channels.</summary>
internal interface IResetTarget
{
    /// <summary>The machine is reset: the guest starts again. Without the bus's lock, while nothing runs.</summary>
    void OnReset();
}
