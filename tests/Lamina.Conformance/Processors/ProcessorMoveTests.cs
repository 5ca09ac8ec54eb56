using Iced.Intel;
using Lamina.Machine.Processors;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Conformance.Processors;

/// <summary>A program that begins under one accelerator goes on under each other, on the same memory.</summary>
public sealed class ProcessorMoveTests
{
    public static TheoryData<string, string> Pairs
    {
        get
        {
            TheoryData<string, string> pairs = [];
            string[] names = ["interpreter", "translator", Accelerators.Kvm];
            foreach (string from in names)
            {
                foreach (string to in names.Where(n => n != from))
                {
                    pairs.Add(from, to);
                }
            }

            return pairs;
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void AProgramGoesOnWhereItWas(string from, string to)
    {
        bool kvm = from == Accelerators.Kvm || to == Accelerators.Kvm;
        IAccelerator limit = Accelerators.Create(kvm ? Accelerators.Kvm : from);
        using ProcessorMachine uninterrupted = Accelerators.CreateMachine("interpreter", limit);
        using ProcessorMachine first = Accelerators.CreateMachine(from, limit);
        using ProcessorMachine second = Accelerators.CreateMachine(to, limit);
        Load(uninterrupted);
        Load(first);
        Assert.Equal(ProcessorExitReason.Halted, uninterrupted.Run().Reason);

        // Leaves in the middle of the loop, at a device access.
        first.Device.Accessed = () =>
        {
            if (first.Device.Count == 20)
            {
                first.Processor.RequestExit();
            }
        };
        Assert.Equal(ProcessorExitReason.Requested, first.Run().Reason);
        Assert.Equal(20, first.Device.Count);
        first.Ram.CopyTo(second.Ram);
        Assert.True(second.Processor.Restore(first.Save()));
        Assert.Equal(ProcessorExitReason.Halted, second.Run().Reason);
        Assert.Equal("", StateComparison.Describe(uninterrupted.Save(), second.Save()));
        int same = uninterrupted.Ram.CommonPrefixLength(second.Ram);
        Assert.True(same == Layout.MemorySize, $"memory differs at 0x{same:x}");
        Assert.Equal(uninterrupted.Device.Count, first.Device.Count + second.Device.Count);
    }

    private static void Load(ProcessorMachine machine)
    {
        ProcessorProgram program = new("moves", ProgramMode.Kernel, c =>
        {
            Label loop = c.CreateLabel();
            c.mov(ecx, 50);
            c.mov(dx, (short)Layout.Ports);
            c.mov(rsi, (long)Layout.Data);
            c.cvtsi2sd(xmm1, ecx);
            c.Label(ref loop);
            c.mov(eax, ecx);
            c.@out(dx, eax);
            c.addsd(xmm1, xmm1);
            c.add(rbx, __qword_ptr[rsi]);
            c.mov(__qword_ptr[rsi], rbx);
            c.add(rsi, 8);
            c.dec(ecx);
            c.jnz(loop);
            c.hlt();
        });
        program.Load(machine);
    }
}
