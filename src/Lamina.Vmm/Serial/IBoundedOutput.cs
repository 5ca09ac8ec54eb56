namespace Lamina.Vmm.Serial;

/// <summary>An output whose <c>Write</c> may wait for room.</summary>
internal interface IBoundedOutput
{
    /// <summary>From now on no write waits, because the machine ends: what finds no room is dropped. A write that waits returns. Any thread.</summary>
    void StopWaiting();
}
