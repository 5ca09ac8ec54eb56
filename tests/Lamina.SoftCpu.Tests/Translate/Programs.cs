using Iced.Intel;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Guest programs written with an assembler.</summary>
internal static class Programs
{
    public static byte[] Assemble(Assembler assembler, ulong address)
    {
        using MemoryStream stream = new();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }

    /// <summary>Writes a piece of a program.</summary>
    public static void Write(ConformanceMachine machine, ulong address, Action<Assembler> write)
    {
        Assembler assembler = new(64);
        write(assembler);
        machine.Write(address & (Map.MemorySize - 1), Assemble(assembler, address));
    }

    /// <summary>A processor about to execute at an address, all registers zero but RSP.</summary>
    public static StartState At(ulong address)
    {
        StartState start = new() { Rip = address };
        start.Registers[4] = Map.Stack;
        return start;
    }

    /// <summary>Runs a program to HLT under both accelerators, which must agree; answers the translator's registers.</summary>
    public static ulong[] RunBoth(Comparison machines, ulong resume, params ReadOnlySpan<(ulong Address, Action<Assembler> Write)> pieces)
    {
        foreach (ConformanceMachine machine in machines.Both)
        {
            FaultHandlers.Reset(machine);
            machine.Write(FaultHandlers.Resume, resume);
            foreach ((ulong address, Action<Assembler> write) in pieces)
            {
                Write(machine, address, write);
            }

            machine.Start(At(pieces[0].Address));
            Assert.Equal(ProcessorExitReason.Halted, machine.Run());
            machine.Ram[FaultHandlers.StackBytes].Clear();
        }

        Assert.Null(machines.Difference(Flags.Status));
        return machines.Translator.Save().GeneralRegisters;
    }
}
