using Lamina.Machine;

namespace Lamina.SoftCpu.Tests.Segmentation;

/// <summary>For tests on one thread.</summary>
internal sealed class NoLock : ILock
{
    public void Enter()
    {
    }

    public void Exit()
    {
    }
}
