namespace Lamina.Machine.Tests;

/// <summary>A lock for one thread that notices re-entry and a missing release.</summary>
internal sealed class TestLock : ILock
{
    public bool IsFree { get; private set; } = true;

    public void Enter()
    {
        Assert.True(IsFree);
        IsFree = false;
    }

    public void Exit()
    {
        Assert.False(IsFree);
        IsFree = true;
    }
}
