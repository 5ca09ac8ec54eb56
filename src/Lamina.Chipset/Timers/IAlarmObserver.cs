namespace Lamina.Chipset.Timers;

/// <summary>Is told when the real-time clock's alarm asks for its interrupt.</summary>
public interface IAlarmObserver
{
    /// <summary>The alarm has gone off. Any thread, with the clock's lock held.</summary>
    void OnAlarm();
}
