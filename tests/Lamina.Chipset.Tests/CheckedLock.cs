using Lamina.Machine;

namespace Lamina.Chipset.Tests;

/// <summary>Fails a test that would deadlock, and tells whether it is free.</summary>
internal sealed class CheckedLock : ILock
{
    public bool IsHeld { get; private set; }

    public void Enter()
    {
        Assert.False(IsHeld, "A device takes its lock while it holds it: on a real machine it would hang.");
        IsHeld = true;
    }

    public void Exit()
    {
        Assert.True(IsHeld, "A device gives back a lock that it does not hold.");
        IsHeld = false;
    }
}
