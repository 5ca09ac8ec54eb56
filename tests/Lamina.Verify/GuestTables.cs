using System.Runtime.InteropServices;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>
/// Memory of a guest that only its CPL 0 may access, from physical address 0 on: page tables that have the arena's pages at the host's addresses, descriptor tables, and for each exception a HLT of
/// its own. What an exception pushed is the result.
/// </summary>
internal sealed unsafe class GuestTables : IDisposable
{
    /// <summary>Linear address of the memory.</summary>
    public const ulong High = 0xffff_ffff_8000_0000;
    public const int Size = 0xb000;

    /// <summary>Value of CR3.</summary>
    public const ulong Root = 0x1000;

    /// <summary>Value of CR3 outside of long mode.</summary>
    public const ulong LegacyRoot = 0x5c00;
    public const ulong Idt = 0x5000;
    public const ushort IdtLimit = (Vectors * 16) - 1;
    public const ulong Gdt = 0x5800;
    public const ulong Ldt = 0x5900;
    public const ulong TaskState = 0x7000;
    public const int TaskStateLimit = 0x67;
    private const ulong Handlers = 0x6000;
    private const ulong StackTop = 0x9000;
    private const ulong HighDirectories = 0x9000;
    private const int HandlerSize = 16;
    private const int PortMapBase = 0x66;
    private const int Vectors = 32;
    private const byte Halt = 0xf4;
    private const int BreakpointTrap = 3;
    private const int OverflowTrap = 4;
    private const int PageFault = 14;
    private const uint Fetch = 16;
    private const ulong Present = 1;
    private const ulong Writable = 2;
    private const ulong User = 4;
    private const ulong NoExecute = 1UL << 63;

    public GuestTables()
    {
        const ushort code = 8;
        const ulong interruptGate = 0x8eUL << 40;
        const ulong large = 0x80;
        Pointer = (byte*)NativeMemory.AlignedAlloc(Size, Arena.PageSize);
        new Span<byte>(Pointer, Size).Clear();
        *(ulong*)(Pointer + Root) = 0x2000 | Present | Writable | User;
        *(ulong*)(Pointer + 0x2000 + ((Arena.Start >> 30) * 8)) = 0x3000 | Present | Writable | User;
        *(ulong*)(Pointer + 0x3000 + (((Arena.Start >> 21) & 511) * 8)) = 0x4000 | Present | Writable | User;
        *(ulong*)(Pointer + LegacyRoot) = 0x3000 | Present;
        SetPage(Arena.Code, Present | User);
        for (int offset = 0; offset < Arena.DataSize; offset += Arena.PageSize)
        {
            SetPage(Arena.Data + (ulong)offset, Present | Writable | User | NoExecute);
        }

        SetPage(Arena.ReadOnly, Present | User | NoExecute);
        *(ulong*)(Pointer + Root + (511 * 8)) = HighDirectories | Present | Writable;
        *(ulong*)(Pointer + HighDirectories + (510 * 8)) = (HighDirectories + 0x1000) | Present | Writable;
        *(ulong*)(Pointer + HighDirectories + 0x1000) = large | Present | Writable;
        for (ulong vector = 0; vector < Vectors; vector++)
        {
            ulong handler = High + Handlers + (vector * HandlerSize);
            ulong* gate = (ulong*)(Pointer + Idt + (vector * 16));
            gate[0] = (handler & 0xffff) | ((ulong)code << 16) | interruptGate | ((vector is BreakpointTrap or OverflowTrap ? 3UL : 0) << 45) | (((handler >> 16) & 0xffff) << 48);
            gate[1] = handler >> 32;
            Pointer[Handlers + (vector * HandlerSize)] = Halt;
        }

        *(ulong*)(Pointer + TaskState + 4) = High + StackTop;
        *(ushort*)(Pointer + TaskState + PortMapBase) = ushort.MaxValue;
    }

    public byte* Pointer { get; }

    /// <summary>The global descriptor table, of <see cref="DescriptorList"/>'s length.</summary>
    public Span<ulong> Descriptors => new(Pointer + Gdt, DescriptorList.All.Length);

    /// <summary>The local descriptor table, of <see cref="DescriptorList.LocalCount"/> entries.</summary>
    public Span<ulong> LocalDescriptors => new(Pointer + Ldt, DescriptorList.LocalCount);

    /// <summary>The vector whose handler has its HLT in front of an address, or whose handler is there; less than 0 or more than 31: none.</summary>
    public static long Handler(ulong rip) => (long)(rip - High - Handlers) / HandlerSize;

    /// <summary>The frame of an exception.</summary>
    public ulong* Frame(ulong rsp) => (ulong*)(Pointer + (rsp - High));

    /// <summary>Takes what an exception pushed, and says how the case ended.</summary>
    /// <param name="vector">The exception.</param>
    /// <param name="rsp">RSP of its handler.</param>
    /// <param name="cr2">CR2.</param>
    /// <param name="end">RIP behind the instruction.</param>
    /// <param name="codeBase">Base of its code segment; null in 64-bit code.</param>
    /// <param name="result">Registers but RSP and the flags are there already.</param>
    public void TakeException(int vector, ulong rsp, ulong cr2, ulong end, uint? codeBase, ref CaseResult result)
    {
        const ulong withCode = 0x27d00;
        ulong* frame = Frame(rsp);
        bool hasCode = (withCode >> vector & 1) != 0;
        result.ErrorCode = hasCode ? (uint)*frame++ : 0;
        TakeFrame(frame, ref result);
        result.Vector = vector;
        result.Address = cr2;
        if (vector == BreakpointTrap && result.Rip != end)
        {
            result.Vector = CaseResult.None;
            result.Rip = codeBase == null ? result.Rip - 1 : (uint)(result.Rip - 1);
        }
        else if (vector == PageFault && (result.ErrorCode & Fetch) != 0 && result.Address == (codeBase is { } start ? (uint)result.Rip + start : result.Rip))
        {
            result.Vector = CaseResult.None;
        }
    }

    /// <summary>RIP, CS, RFLAGS, RSP and SS of what was interrupted. The hidden parts of CS and SS are lost.</summary>
    public static void TakeFrame(ulong* frame, ref CaseResult result)
    {
        const int stackPointer = 4;
        result.Rip = frame[0];
        result.Segments[SegmentValues.Cs] = new SegmentValue((ushort)frame[1], 0, 0, 0);
        result.Segments[SegmentValues.Ss] = new SegmentValue((ushort)frame[4], 0, 0, 0);
        result.State.Flags = frame[2];
        fixed (ulong* general = result.State.General)
        {
            general[stackPointer] = frame[3];
        }
    }

    public void Dispose() => NativeMemory.AlignedFree(Pointer);

    private void SetPage(ulong linear, ulong attributes) => *(ulong*)(Pointer + 0x4000 + (((linear >> 12) & 511) * 8)) = linear | attributes;
}
