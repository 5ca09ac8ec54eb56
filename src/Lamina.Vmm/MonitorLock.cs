using Lamina.Machine;

namespace Lamina.Vmm;

/// <summary>The lock that devices are given on a host with a runtime.</summary>
internal sealed class MonitorLock : ILock
{
    private readonly Lock _lock = new();

    /// <inheritdoc/>
    public void Enter() => _lock.Enter();

    /// <inheritdoc/>
    public void Exit() => _lock.Exit();
}
