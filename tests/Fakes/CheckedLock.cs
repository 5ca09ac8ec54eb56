using Lamina.Machine;

namespace Lamina.Tests.Fakes;

/// <summary>Fails a test that would deadlock, and tells whether the thread that asks has it.</summary>
internal sealed class CheckedLock : ILock
{
    private readonly Lock _lock = new();

    public bool IsHeld => _lock.IsHeldByCurrentThread;

    public void Enter()
    {
        Assert.False(IsHeld, "A device takes its lock while it holds it: on a real machine it would hang.");
        _lock.Enter();
    }

    public void Exit()
    {
        Assert.True(IsHeld, "A device gives back a lock that it does not hold.");
        _lock.Exit();
    }
}
