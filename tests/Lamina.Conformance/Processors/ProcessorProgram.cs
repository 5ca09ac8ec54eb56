using Iced.Intel;

namespace Lamina.Conformance.Processors;

/// <summary>A guest program that every accelerator must execute alike, to its end at HLT.</summary>
/// <param name="Name">What it tries.</param>
/// <param name="Mode">The mode it begins in.</param>
/// <param name="Write">Its instructions.</param>
/// <param name="UndefinedFlags">Flags that the architecture leaves open at the end.</param>
/// <param name="NeedsHardware">A KVM without hardware behind it is known to get it wrong, where nobody can help it.</param>
internal sealed record ProcessorProgram(string Name, ProgramMode Mode, Action<Assembler> Write, ulong UndefinedFlags = 0, bool NeedsHardware = false)
{
    /// <summary>The program's bytes.</summary>
    public byte[] Assemble()
    {
        Assembler assembler = new(Mode switch { ProgramMode.Real => 16, ProgramMode.Protected => 32, _ => 64 });
        Write(assembler);
        using MemoryStream stream = new();
        assembler.Assemble(new StreamCodeWriter(stream), Mode == ProgramMode.Real ? 0 : Layout.Code);
        return stream.ToArray();
    }

    /// <summary>Puts it into a machine, ready to run.</summary>
    public void Load(ProcessorMachine machine)
    {
        const ushort RealSegment = 0x1000;
        machine.Write(Mode == ProgramMode.Real ? RealSegment << 4 : Layout.Code, Assemble());
        for (ulong n = 0; n < 512; n++)
        {
            machine.Write(Layout.Data + (n * 8), (n + 1) * 0x0123_4567_89ab_cdef);
        }

        switch (Mode)
        {
            case ProgramMode.Real:
                machine.StartReal(RealSegment);
                break;
            case ProgramMode.Protected:
                machine.StartProtected(Layout.Code);
                break;
            default:
                machine.StartLong(Layout.Code, Mode == ProgramMode.User ? 3 : 0);
                break;
        }
    }
}
