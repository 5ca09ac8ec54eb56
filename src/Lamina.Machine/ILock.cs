namespace Lamina.Machine;

/// <summary>Mutual exclusion for device state. Given to devices at construction, because a freestanding build has no monitors. Not re-entrant.</summary>
public interface ILock
{
    /// <summary>Waits until the lock is free and takes it.</summary>
    void Enter();

    /// <summary>Gives it back. Only its holder may.</summary>
    void Exit();
}
