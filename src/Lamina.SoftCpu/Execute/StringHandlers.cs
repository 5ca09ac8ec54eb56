using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Execute;

/// <summary>
/// MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS with and without repetition. A long repetition gives way between elements when something wants the processor;
/// registers then say how far it has got and RIP still names it.
/// </summary>
internal static unsafe class StringHandlers
{
    private const int Rcx = 1;
    private const int Rsi = 6;
    private const int Rdi = 7;
    private const int PageSize = 4096;

    private enum Repeat
    {
        None,
        Count,
        WhileEqual,
        WhileNotEqual,
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Truncate(ulong value, int addressSize) => addressSize == 8 ? value : addressSize == 4 ? (uint)value : (ushort)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetAddressRegister(ProcessorContext* c, int register, ulong value, int addressSize)
    {
        if (addressSize == 2)
        {
            *(ushort*)(c->Registers + register) = (ushort)value;
        }
        else
        {
            c->Registers[register] = addressSize == 8 ? value : (uint)value;
        }
    }

    public static bool Move<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Run(c, i, false, &MoveOne<TWidth>, &MoveMany<TWidth>);

    public static bool Fill<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Run(c, i, false, &FillOne<TWidth>, &FillMany<TWidth>);

    public static bool LoadString<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Run(c, i, false, &LoadOne<TWidth>, null);

    public static bool Compare<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Run(c, i, true, &CompareOne<TWidth>, null);

    public static bool Scan<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth => Run(c, i, true, &ScanOne<TWidth>, null);

    public static bool Input<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        return PortHandlers.Permitted(c, (ushort)c->Registers[2], TWidth.Bytes) && Run(c, i, false, &InputOne<TWidth>, null);
    }

    public static bool Output<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        return PortHandlers.Permitted(c, (ushort)c->Registers[2], TWidth.Bytes) && Run(c, i, false, &OutputOne<TWidth>, null);
    }

    private static bool Run(
        ProcessorContext* c,
        Instruction* i,
        bool compares,
        delegate*<ProcessorContext*, Instruction*, bool> one,
        delegate*<ProcessorContext*, Instruction*, ulong, ulong> many)
    {
        Repeat repeat = (i->Flags & (InstructionFlags.Rep | InstructionFlags.Repne)) == 0 ? Repeat.None
            : !compares ? Repeat.Count
            : (i->Flags & InstructionFlags.Rep) != 0 ? Repeat.WhileEqual : Repeat.WhileNotEqual;
        if (repeat == Repeat.None)
        {
            return one(c, i);
        }

        int size = i->AddressSize;
        bool single = (c->SystemFlags & Flags.Trap) != 0;
        int patience = 256;
        while (true)
        {
            ulong count = Truncate(c->Registers[Rcx], size);
            if (count == 0)
            {
                ExtendRegisters(c, i);
                return true;
            }

            ulong done = many != null && !single && (c->SystemFlags & Flags.Direction) == 0 ? many(c, i, count) : 0;
            if (done == 0)
            {
                if (!one(c, i))
                {
                    return false;
                }

                done = 1;
            }
            else
            {
                patience = 0;
            }

            count -= done;
            SetAddressRegister(c, Rcx, count, size);
            if (count == 0 || (repeat == Repeat.WhileEqual && c->FlagZero != 0) || (repeat == Repeat.WhileNotEqual && c->FlagZero == 0))
            {
                return true;
            }

            if (single || c->PendingDebugTraps != 0 || (--patience <= 0 && Volatile.Read(ref c->Attention) != 0))
            {
                c->Outcome = HandlerOutcome.Yield;
                return false;
            }
        }
    }

    // With 32-bit addresses the registers are zero-extended even if there is nothing to do, as current processors do for moves.
    private static void ExtendRegisters(ProcessorContext* c, Instruction* i)
    {
        if (i->AddressSize == 4)
        {
            c->Registers[Rcx] = 0;
            int op = i->Opcode & 0xfe;
            c->Registers[Rsi] = op is 0xa4 or 0xac ? (uint)c->Registers[Rsi] : c->Registers[Rsi];
            c->Registers[Rdi] = op is 0xa4 or 0xaa ? (uint)c->Registers[Rdi] : c->Registers[Rdi];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<TWidth>(ProcessorContext* c, Instruction* i, int register)
        where TWidth : struct, IWidth
    {
        ulong delta = (c->SystemFlags & Flags.Direction) == 0 ? (ulong)TWidth.Bytes : (ulong)-TWidth.Bytes;
        SetAddressRegister(c, register, c->Registers[register] + delta, i->AddressSize);
    }

    private static bool MoveOne<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, i->Segment, Truncate(c->Registers[Rsi], i->AddressSize), out ulong value)
            || !TWidth.Store(c, SegmentRegister.Es, Truncate(c->Registers[Rdi], i->AddressSize), value))
        {
            return false;
        }

        Step<TWidth>(c, i, Rsi);
        Step<TWidth>(c, i, Rdi);
        return true;
    }

    private static bool FillOne<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Store(c, SegmentRegister.Es, Truncate(c->Registers[Rdi], i->AddressSize), TWidth.Get(c, 0)))
        {
            return false;
        }

        Step<TWidth>(c, i, Rdi);
        return true;
    }

    private static bool LoadOne<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, i->Segment, Truncate(c->Registers[Rsi], i->AddressSize), out ulong value))
        {
            return false;
        }

        TWidth.Set(c, 0, value);
        Step<TWidth>(c, i, Rsi);
        return true;
    }

    private static bool CompareOne<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, i->Segment, Truncate(c->Registers[Rsi], i->AddressSize), out ulong a)
            || !TWidth.Load(c, SegmentRegister.Es, Truncate(c->Registers[Rdi], i->AddressSize), out ulong b))
        {
            return false;
        }

        Alu.Subtract<TWidth>(c, a, b, 0);
        Step<TWidth>(c, i, Rsi);
        Step<TWidth>(c, i, Rdi);
        return true;
    }

    private static bool ScanOne<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, SegmentRegister.Es, Truncate(c->Registers[Rdi], i->AddressSize), out ulong b))
        {
            return false;
        }

        Alu.Subtract<TWidth>(c, TWidth.Get(c, 0), b, 0);
        Step<TWidth>(c, i, Rdi);
        return true;
    }

    private static bool InputOne<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        // The destination is checked first: a port is not read twice because of a page fault.
        ulong offset = Truncate(c->Registers[Rdi], i->AddressSize);
        GuestAccess.Writable(c, SegmentRegister.Es, offset, TWidth.Bytes, out _, out bool faulted);
        if (faulted || !TWidth.Store(c, SegmentRegister.Es, offset, PortHandlers.Read<TWidth>(c, (ushort)c->Registers[2])))
        {
            return false;
        }

        Step<TWidth>(c, i, Rdi);
        return true;
    }

    private static bool OutputOne<TWidth>(ProcessorContext* c, Instruction* i)
        where TWidth : struct, IWidth
    {
        if (!TWidth.Load(c, i->Segment, Truncate(c->Registers[Rsi], i->AddressSize), out ulong value))
        {
            return false;
        }

        PortHandlers.Write<TWidth>(c, (ushort)c->Registers[2], value);
        Step<TWidth>(c, i, Rsi);
        return true;
    }

    // Whether offsets in a segment are linear addresses without further checks.
    private static bool IsFlat(ProcessorContext* c, int segment)
    {
        ref SegmentCache s = ref c->Segments[segment];
        return c->CodeSize == 8 || (s.Base == 0 && s.Limit == uint.MaxValue && (s.Attributes & 0x1_009e) == 0x92);
    }

    // As many elements as fit in the current pages, at once. Zero: take one the slow way.
    private static ulong FillMany<TWidth>(ProcessorContext* c, Instruction* i, ulong count)
        where TWidth : struct, IWidth
    {
        if (!IsFlat(c, SegmentRegister.Es))
        {
            return 0;
        }

        ulong linear = Truncate(c->Registers[Rdi], i->AddressSize);
        ulong n = Math.Min(count, (PageSize - (linear & (PageSize - 1))) / (ulong)TWidth.Bytes);
        byte* p = GuestAccess.WritableCached(c, linear);
        if (p == null || n == 0)
        {
            return 0;
        }

        ulong value = TWidth.Get(c, 0);
        switch (TWidth.Bytes)
        {
            case 1:
                new Span<byte>(p, (int)n).Fill((byte)value);
                break;
            case 2:
                new Span<ushort>(p, (int)n).Fill((ushort)value);
                break;
            case 4:
                new Span<uint>(p, (int)n).Fill((uint)value);
                break;
            default:
                new Span<ulong>(p, (int)n).Fill(value);
                break;
        }

        SetAddressRegister(c, Rdi, linear + (n * (ulong)TWidth.Bytes), i->AddressSize);
        return n;
    }

    private static ulong MoveMany<TWidth>(ProcessorContext* c, Instruction* i, ulong count)
        where TWidth : struct, IWidth
    {
        if (!IsFlat(c, SegmentRegister.Es) || !IsFlat(c, i->Segment))
        {
            return 0;
        }

        ulong si = Truncate(c->Registers[Rsi], i->AddressSize);
        ulong source = si + c->SegmentBase[i->Segment];
        ulong destination = Truncate(c->Registers[Rdi], i->AddressSize);
        ulong room = PageSize - Math.Max(source & (PageSize - 1), destination & (PageSize - 1));
        ulong n = Math.Min(count, room / (ulong)TWidth.Bytes);
        if (i->AddressSize != 8)
        {
            // The offset may wrap inside a page of a segment with a base.
            n = Math.Min(n, ((i->AddressSize == 4 ? 0x1_0000_0000UL : 0x1_0000UL) - si) / (ulong)TWidth.Bytes);
        }

        byte* from = GuestAccess.ReadableCached(c, source);
        byte* to = GuestAccess.WritableCached(c, destination);
        if (from == null || to == null || n == 0)
        {
            return 0;
        }

        ulong bytes = n * (ulong)TWidth.Bytes;
        if (to > from && to < from + bytes)
        {
            // Overlapping forwards: each element sees those stored before it.
            for (ulong k = 0; k < bytes; k += (ulong)TWidth.Bytes)
            {
                TWidth.Write(to + k, TWidth.Read(from + k));
            }
        }
        else
        {
            Buffer.MemoryCopy(from, to, bytes, bytes);
        }

        SetAddressRegister(c, Rsi, si + bytes, i->AddressSize);
        SetAddressRegister(c, Rdi, destination + bytes, i->AddressSize);
        return n;
    }
}
