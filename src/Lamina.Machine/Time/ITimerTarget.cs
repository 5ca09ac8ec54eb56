namespace Lamina.Machine.Time;

/// <summary>Called when a timer's deadline has passed.</summary>
public interface ITimerTarget
{
    /// <summary>On the machine's event-loop thread, with no lock held. May come late, and may come once after a cancel or re-arm.</summary>
    void OnTimer();
}
