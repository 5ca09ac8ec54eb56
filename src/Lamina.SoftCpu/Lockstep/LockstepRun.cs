using System.Globalization;
using System.Runtime.InteropServices;
using Lamina.Machine.Memory;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu.Lockstep;

/// <summary>What a processor needs in order to run in lockstep.</summary>
internal sealed unsafe class LockstepRun(LockstepMonitor monitor) : IDisposable
{
    private readonly Dictionary<nint, int> _runs = [];
    private ulong _endRip;
    private ushort _endFlags;

    public LockstepMonitor Monitor { get; } = monitor;

    public MemoryLog Log { get; } = new();

    /// <summary>The state at the start of the piece.</summary>
    public ContextImage Start { get; } = new();

    /// <summary>The interpreter's result.</summary>
    public ContextImage Interpreted { get; } = new();

    /// <summary>The translation's.</summary>
    public ContextImage Translated { get; } = new();

    /// <summary>
    /// Status flags as translated code left them. Those that nobody will read may be anything, so they are not compared: they are what the next translation
    /// starts with, and a wrong one shows in what it computes.
    /// </summary>
    public ushort TranslatedFlags { get; set; }

    /// <summary>The interpreter is only trying: devices must not see it.</summary>
    public bool OnTrial { get; private set; }

    /// <summary>It came to a device.</summary>
    public bool TouchedDevice { get; set; }

    /// <summary>The next block is executed without comparison.</summary>
    public bool SkipNext { get; set; }

    /// <summary>Instructions whose effect cannot be taken back.</summary>
    public static bool ReachesOutside(in Instruction i) => i.Opcode switch
    {
        // INS, OUTS, IN, OUT, HLT
        >= 0x6c and <= 0x6f or >= 0xe4 and <= 0xe7 or >= 0xec and <= 0xef or 0xf4 => true,

        // Those that let interrupts in: POPF, IRET, STI
        0x9d or 0xcf or 0xfb => true,

        // MOV to control registers: what is kept of which address space is not taken back
        0x122 => true,

        // MOV to and from debug registers, WRMSR, RDTSC, RDPMC, CPUID, RDRAND, RDSEED; VM calls, MONITOR, MWAIT, RDTSCP and their like
        0x121 or 0x123 or 0x130 or 0x131 or 0x133 or 0x1a2 => true,
        0x1c7 => !i.IsMemory,
        0x101 => !i.IsMemory && i.ModRm is not 0xca and not 0xcb,
        _ => false,
    };

    public void BeginTrial(ProcessorContext* c)
    {
        OnTrial = true;
        TouchedDevice = false;
        c->Outcome = HandlerOutcome.Continue;
        c->WatchesData = true;
        ProcessorMode.SelectTlb(c);
    }

    public void EndTrial(ProcessorContext* c)
    {
        OnTrial = false;
        c->WatchesData = false;
        ProcessorMode.SelectTlb(c);
    }

    /// <summary>Whether this run of a translation is to be compared.</summary>
    public bool IsTurn(byte* code)
    {
        if (SkipNext)
        {
            SkipNext = false;
            return false;
        }

        if (Monitor.Interval == 1)
        {
            return true;
        }

        ref int runs = ref CollectionsMarshal.GetValueRefOrAddDefault(_runs, (nint)code, out _);
        runs++;
        return runs <= Monitor.FirstRuns || runs % Monitor.Interval == 0;
    }

    /// <summary>Back to the start of the piece.</summary>
    public void TakeBack(ProcessorContext* c)
    {
        Log.Undo();
        Start.Restore(c);
    }

    /// <summary>The flags that translated code starts with: its own, if it goes on where it left.</summary>
    public ushort FlagsFor(ProcessorContext* c)
    {
        return c->Rip == _endRip && Pack(Flags.GetStatus(c)) == _endFlags ? TranslatedFlags : Pack(Flags.GetStatus(c));
    }

    /// <summary>A piece has ended, with the interpreter's result in the context.</summary>
    public void Ended(ProcessorContext* c)
    {
        _endRip = c->Rip;
        _endFlags = Pack(Flags.GetStatus(c));
    }

    /// <summary>Compares the flags that an instruction will read.</summary>
    public void CompareFlags(List<string> differences, ProcessorContext* c, Instruction* next)
    {
        // Those that read every flag read undefined ones too.
        uint reads = FlagEffects.Of(*next).Reads;
        ushort mask = Pack(reads == Flags.Status ? 0 : reads);
        ushort interpreted = Pack(Flags.GetStatus(c));
        if (((interpreted ^ TranslatedFlags) & mask) != 0)
        {
            differences.Add(string.Create(CultureInfo.InvariantCulture, $"flags (SF ZF AF PF CF in the high byte, OF in bit 0) of {mask:x}: interpreter {interpreted:x}, translator {TranslatedFlags:x}"));
        }
    }

    /// <summary>The interpreter alone has executed an instruction: its flags are good, the others stay as translated code left them.</summary>
    public void KeepFlags(ProcessorContext* c, Instruction* i, ushort translated)
    {
        // An instruction that reads all flags has them all.
        FlagEffects effects = FlagEffects.Of(*i);
        ushort mask = Pack(effects.Reads == Flags.Status ? Flags.Status : effects.Writes);
        TranslatedFlags = (ushort)((translated & ~mask) | (Pack(Flags.GetStatus(c)) & mask));
        _endRip = (i->Flags & InstructionFlags.EndsBlock) != 0 ? c->Rip : c->Rip + i->Length;
        _endFlags = Pack(Flags.GetStatus(c));
    }

    public void CompareMemory(List<string> differences, GuestMemory memory)
    {
        if (Log.TryFindDifference(out byte* address, out ulong first, out ulong second))
        {
            differences.Add(string.Create(CultureInfo.InvariantCulture, $"memory at physical {PhysicalOf(memory, address):x}: interpreter {first:x16}, translator {second:x16}"));
        }
    }

    public void Report(Block* block, Translation* translation, int position, List<string> differences, CodeCache cache)
    {
        byte[] code = new byte[block->ByteLength];
        cache.CopyCode(block, code);
        ulong rip = translation == null ? Start.Rip : translation->IsShared ? (Start.Rip & ~0xfffUL) | translation->Rip : translation->Rip;
        Monitor.Difference ??= new LockstepDifference
        {
            Summary = string.Create(CultureInfo.InvariantCulture, $"lockstep: the block at {rip:x}, from instruction {position}: {differences[0]}"),
            Details = [.. differences, "at the start:", .. Start.Describe()],
            Rip = rip,
            GuestCode = code,
            HostAddress = translation == null ? 0 : (nint)translation->NativeEntry,
            HostCode = translation == null ? [] : new ReadOnlySpan<byte>(translation->NativeEntry, (int)(translation->End - translation->NativeEntry)).ToArray(),
            CallData = cache.Routines.CallData,
        };
    }

    public void Dispose()
    {
        Log.Dispose();
        Start.Dispose();
        Interpreted.Dispose();
        Translated.Dispose();
    }

    private static ushort Pack(uint flags) => (ushort)(((flags & 0xd5) << 8) | ((flags >> 11) & 1));

    private static ulong PhysicalOf(GuestMemory memory, byte* host)
    {
        foreach (GuestMemoryRegion region in memory.Regions)
        {
            ulong offset = (ulong)(host - (byte*)region.HostAddress);
            if (offset < region.Length)
            {
                return region.Address + offset;
            }
        }

        return 0;
    }
}
