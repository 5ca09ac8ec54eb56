using Iced.Intel;

namespace Lamina.Verify.Privileged;

/// <summary>Programs of several instructions, up to VMCALL. Code may be written that is executed later (Intel SDM volume 3, sections 8.1.3, 8.3 and 11.6).</summary>
internal sealed partial class SystemModel
{
    private const int LongestInstruction = 15;
    private readonly List<(ulong Physical, ulong Page)> _written = [];
    private bool _isProgram;

    /// <summary>Whether VMCALL was reached.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>Instructions of the last program that were fetched.</summary>
    public List<ExecutedInstruction> Executed { get; } = [];

    private void ExecuteProgram()
    {
        _written.Clear();
        BeginTranslations();
        for (ulong n = this[MachineRegister.Steps]; n > 0; n--)
        {
            int count = Executed.Count;
            ulong cr0 = this[MachineRegister.Cr0];
            ulong cr3 = this[MachineRegister.Cr3];
            ulong cr4 = this[MachineRegister.Cr4];
            SegmentImage task = _m.Segments[MachineImage.Task];
            int vector = FirstVector;
            Step();
            if (Executed.Count > count)
            {
                Executed[count] = Executed[count] with
                {
                    IsFaulting = vector != FirstVector,
                    ChangedCr0 = cr0 ^ this[MachineRegister.Cr0],
                    ChangedCr3 = cr3 ^ this[MachineRegister.Cr3],
                    ChangedCr4 = cr4 ^ this[MachineRegister.Cr4],
                };
            }

            if (IsStopped || IsShutdown || this[MachineRegister.Halted] != 0)
            {
                return;
            }

            if ((_m.Flags & Trap) != 0)
            {
                throw new UnjudgedCase("single steps of a program");
            }

            if (task.Selector != _m.Segments[MachineImage.Task].Selector && Executed[^1].Instruction.Mnemonic != Mnemonic.Ltr)
            {
                throw new UnjudgedCase("task switches of a program");
            }
        }

        throw new UnjudgedCase("a program that does not come to its end");
    }

    private bool IsEnd(in Instruction i)
    {
        IsStopped = i.Mnemonic == Mnemonic.Vmcall;
        return IsStopped;
    }

    private Instruction FetchOfProgram(ulong linear)
    {
        SegmentImage code = _m.Segments[MachineImage.Cs];
        if (_m.Is64)
        {
            Require(IsCanonical(linear));
        }
        else if (code.Limit != uint.MaxValue || code.Base != 0)
        {
            throw new UnjudgedCase("a program in a segment that is not flat");
        }

        Span<ulong> physical = stackalloc ulong[LongestInstruction];
        ulong at = Translate(linear, Access.Execute, _m.Cpl == 3, isExplicit: true);
        int first = Math.Min(LongestInstruction, 0x1000 - (int)(linear & 0xfff));
        Place(physical, 0, first, at);
        Instruction i = Decode(physical[..first], out bool isWhole);
        if (!isWhole && first < LongestInstruction)
        {
            RequireInstruction(physical[..first]);
            ulong next = Narrow(linear + (ulong)first);
            Require(!_m.Is64 || IsCanonical(next));
            Place(physical, first, LongestInstruction, Translate(next, Access.Execute, _m.Cpl == 3, isExplicit: true));
            i = Decode(physical, out isWhole);
        }

        if (!isWhole)
        {
            throw ArchitecturalFault.Gp();
        }

        if (i.IsInvalid && (first < LongestInstruction || i.Length >= LongestInstruction))
        {
            throw BytesBehind();
        }

        for (int n = 0; n < (i.IsInvalid ? LongestInstruction : i.Length) && n < physical.Length; n++)
        {
            RequireFetched(physical[n], Narrow(linear + (ulong)n) >> 12);
        }

        Executed.Add(new ExecutedInstruction(at, linear, i));
        return i;
    }

    // What is none whatever follows may be #UD, or a page fault of what follows.
    private void RequireInstruction(ReadOnlySpan<ulong> physical)
    {
        byte[] bytes = new byte[LongestInstruction];
        bytes.AsSpan().Fill(0x90);
        for (int n = 0; n < physical.Length && physical[n] < MachineImage.MemorySize; n++)
        {
            bytes[n] = _m.Memory[(int)physical[n]];
        }

        Decoder decoder = Decoder.Create(_m.CodeSize * 8, new ByteArrayReader(bytes), 0, DecoderOptions.None);
        if (decoder.Decode().IsInvalid)
        {
            throw BytesBehind();
        }
    }

    private static UnjudgedCase BytesBehind() => new("whether bytes behind what is no instruction are fetched");

    private static void Place(Span<ulong> physical, int from, int end, ulong at)
    {
        for (int n = from; n < end; n++)
        {
            physical[n] = at + (ulong)(n - from);
        }
    }

    private Instruction Decode(ReadOnlySpan<ulong> physical, out bool isWhole)
    {
        byte[] bytes = new byte[physical.Length];
        for (int n = 0; n < bytes.Length; n++)
        {
            if (physical[n] >= MachineImage.MemorySize)
            {
                throw new UnjudgedCase("code where no memory is");
            }

            if (_loose[(int)physical[n]])
            {
                throw new UnjudgedCase("what an exception left half written is executed");
            }

            bytes[n] = _m.Memory[(int)physical[n]];
        }

        Decoder decoder = Decoder.Create(_m.CodeSize * 8, new ByteArrayReader(bytes), 0, DecoderOptions.None);
        Instruction i = decoder.Decode();
        isWhole = decoder.LastError != DecoderError.NoMoreBytes;
        return i;
    }

    // Section 11.6: code that is written by another linear address than it is fetched by needs a serializing instruction in between.
    private void RequireFetched(ulong physical, ulong page)
    {
        foreach ((ulong written, ulong writtenBy) in _written)
        {
            if (written == physical && writtenBy != page)
            {
                throw new UnjudgedCase("code that was written by another address, without a serializing instruction");
            }
        }
    }

    private void NoteStore(ulong linear, ReadOnlySpan<ulong> physical)
    {
        bool isTable = false;
        for (int n = 0; n < physical.Length; n++)
        {
            _written.Add((physical[n], Narrow(linear + (ulong)n) >> 12));
            isTable |= SystemLayout.IsPageTable(physical[n]);
        }

        if (isTable)
        {
            KeepAll();
        }
    }

    // Section 8.3.
    private void Serialize(in Instruction i)
    {
        bool serializes = i.Mnemonic switch
        {
            Mnemonic.Mov => (i.Op0Register.IsCR() && i.Op0Register != Register.CR8) || i.Op0Register.IsDR(),
            Mnemonic.Invlpg or Mnemonic.Invd or Mnemonic.Wbinvd or Mnemonic.Wrmsr or Mnemonic.Lgdt or Mnemonic.Lidt or Mnemonic.Lldt or Mnemonic.Ltr => true,
            Mnemonic.Iret or Mnemonic.Iretd or Mnemonic.Iretq => true,
            _ => false,
        };
        if (serializes)
        {
            _written.Clear();
        }
    }
}
