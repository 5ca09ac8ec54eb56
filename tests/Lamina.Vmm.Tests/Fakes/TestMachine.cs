using Lamina.Boot;
using Lamina.Boot.Tests.Images;
using Lamina.Machine.Processors;

namespace Lamina.Vmm.Tests.Fakes;

internal static class TestMachine
{
    public static readonly ProcessorExit Halted = new(ProcessorExitReason.Halted);

    public static BootSource Kernel { get; } = new() { Kernel = BootImage.FromBytes(ElfImageBuilder.Create([0xf4], 0x20_0000), "test kernel") };

    public static MachineSettings Settings(IAccelerator accelerator) => new()
    {
        Accelerator = accelerator,
        Boot = Kernel,
        MemorySize = 16 << 20,
    };

    public static MachineSettings Settings(Func<FakeProcessor, ProcessorExit> program) => Settings(new FakeAccelerator(program));

    /// <summary>Waits for the end, but not for ever.</summary>
    public static MachineResult WaitForEndSoon(this VirtualMachine machine)
    {
        Assert.True(machine.Completion.Wait(TimeSpan.FromSeconds(30)), "the machine did not end");
        return machine.WaitForEnd();
    }
}
