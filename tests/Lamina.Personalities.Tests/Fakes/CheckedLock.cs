using Lamina.Machine;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>Fails a test that would deadlock.</summary>
internal sealed class CheckedLock : ILock
{
    private readonly Lock _lock = new();

    public void Enter()
    {
        Assert.False(_lock.IsHeldByCurrentThread, "A device takes its lock while it holds it: on a real machine it would hang.");
        _lock.Enter();
    }

    public void Exit() => _lock.Exit();
}
