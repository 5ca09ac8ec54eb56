using Lamina.Kvm;
using Lamina.Machine.Processors;

namespace Lamina.Conformance.Processors;

/// <summary>Every program under every accelerator leaves the processor, memory and devices as the interpreter does.</summary>
public sealed class ProcessorProgramTests
{
    public static TheoryData<string, string> Cases
    {
        get
        {
            TheoryData<string, string> cases = [];
            foreach (string accelerator in (string[])["translator", Accelerators.Kvm])
            {
                foreach (ProcessorProgram program in ProcessorPrograms.All)
                {
                    cases.Add(accelerator, program.Name);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void LeavesWhatTheInterpreterLeaves(string name, string programName)
    {
        ProcessorProgram program = Array.Find(ProcessorPrograms.All, p => p.Name == programName)!;
        IAccelerator accelerator = Accelerators.Create(name);
        if (name == Accelerators.Kvm && program.NeedsHardware && !KvmHost.IsWorthIt(out string reason))
        {
            Assert.Skip($"{reason}; it does not know system calls of guests, and shows them the CPUID of the host.");
        }

        using ProcessorMachine expected = Accelerators.CreateMachine("interpreter", accelerator);
        using ProcessorMachine actual = Accelerators.CreateMachine(name, accelerator);
        expected.Connect();
        actual.Connect();
        program.Load(expected);
        program.Load(actual);
        Assert.Equal(new ProcessorExit(ProcessorExitReason.Halted), expected.Run());
        Assert.Equal(new ProcessorExit(ProcessorExitReason.Halted), actual.Run());
        Assert.Equal("", StateComparison.Describe(expected.Save(), actual.Save(), program.UndefinedFlags));
        int same = expected.Ram.CommonPrefixLength(actual.Ram);
        Assert.True(same == Layout.MemorySize, $"memory differs at 0x{same:x}: 0x{(same < Layout.MemorySize ? expected.Read((ulong)same & ~7UL) : 0):x}, 0x{(same < Layout.MemorySize ? actual.Read((ulong)same & ~7UL) : 0):x}");
        Assert.Equal((expected.Device.Count, expected.Device.Sum), (actual.Device.Count, actual.Device.Sum));
    }
}
