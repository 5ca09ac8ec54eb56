using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;

namespace Lamina.Vmm.Tests.Fakes;

/// <summary>Makes <see cref="FakeProcessor"/>s that all run the same function.</summary>
internal sealed class FakeAccelerator(Func<FakeProcessor, ProcessorExit> program) : IAccelerator, IPartition
{
    public string Name => "fake";

    public ulong? TscFrequency => null;

    public int PhysicalAddressBits => 52;

    public PartitionSettings? Settings { get; private set; }

    public List<FakeProcessor> Processors { get; } = [];

    public List<ILocalInterruptController> Controllers { get; } = [];

    public bool IsDisposed { get; private set; }

    public IReadOnlyList<CpuidEntry> Extras => [];

    public bool AnswersForKvm => false;

    public string? FindObstacle(IPersonality personality) => null;

    public IReadOnlyList<CpuidEntry> Restrict(IReadOnlyList<CpuidEntry> cpuid) => cpuid;

    public IPartition CreatePartition(PartitionSettings settings)
    {
        Settings = settings;
        return this;
    }

    public IVirtualProcessor CreateProcessor(int index)
    {
        FakeProcessor processor = new(index, program);
        Processors.Add(processor);
        return processor;
    }

    public IHostedInterrupts? HostedInterrupts => null;

    public void ConnectInterruptController(IVirtualProcessor processor, ILocalInterruptController controller) => Controllers.Add(controller);

    public void Dispose()
    {
        Assert.All(Processors, p => Assert.True(p.IsDisposed));
        IsDisposed = true;
    }
}
