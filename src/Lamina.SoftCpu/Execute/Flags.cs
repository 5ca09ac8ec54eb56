using System.Runtime.CompilerServices;

namespace Lamina.SoftCpu.Execute;

/// <summary>RFLAGS: the six status flags are kept lazily in <see cref="ProcessorContext"/>, the others in <see cref="ProcessorContext.SystemFlags"/>.</summary>
internal static unsafe class Flags
{
    public const uint Carry = 1;
    public const uint Reserved1 = 2;
    public const uint Parity = 4;
    public const uint Adjust = 0x10;
    public const uint Zero = 0x40;
    public const uint Sign = 0x80;
    public const uint Trap = 0x100;
    public const uint Interrupt = 0x200;
    public const uint Direction = 0x400;
    public const uint Overflow = 0x800;
    public const uint IoPrivilege = 0x3000;
    public const uint NestedTask = 0x4000;
    public const uint Resume = 0x1_0000;
    public const uint Virtual8086 = 0x2_0000;
    public const uint AlignmentCheck = 0x4_0000;
    public const uint VirtualInterrupt = 0x8_0000;
    public const uint VirtualInterruptPending = 0x10_0000;
    public const uint Identification = 0x20_0000;

    /// <summary>CF, PF, AF, ZF, SF, OF.</summary>
    public const uint Status = Carry | Parity | Adjust | Zero | Sign | Overflow;

    /// <summary>CF, AF and OF, which <see cref="ProcessorContext.FlagCarry"/> holds.</summary>
    public const uint CarryPart = Carry | Adjust | Overflow;

    /// <summary>Every flag but the status flags.</summary>
    public const uint System = 0x3f_7702 & ~Status;

    /// <summary>The whole register.</summary>
    public static uint Get(ProcessorContext* c) => c->SystemFlags | GetStatus(c);

    /// <summary>The six status flags.</summary>
    public static uint GetStatus(ProcessorContext* c)
    {
        uint flags = c->FlagCarry;
        if (c->FlagZero == 0)
        {
            flags |= Zero;
        }

        flags |= (uint)(c->FlagSign >> 63) << 7;
        return flags | (GetParity(c) ? Parity : 0);
    }

    /// <summary>Sets the six status flags from their places in <paramref name="flags"/>; other bits are ignored.</summary>
    public static void SetStatus(ProcessorContext* c, uint flags)
    {
        c->FlagCarry = flags & CarryPart;
        c->FlagZero = (flags & Zero) == 0 ? 1UL : 0;
        c->FlagSign = ((ulong)(flags & Sign) << 56) | ((flags & Parity) == 0 ? 1UL : 0);
    }

    /// <summary>PF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool GetParity(ProcessorContext* c)
    {
        uint low = (uint)c->FlagSign & 0xff;
        low ^= low >> 4;
        return ((0x9669 >> (int)(low & 15)) & 1) != 0;
    }

    /// <summary>Replaces the whole register (status and system), with no privilege check, and updates what depends on it.</summary>
    public static void Set(ProcessorContext* c, uint flags)
    {
        SetStatus(c, flags);
        SetSystem(c, flags);
    }

    /// <summary>Replaces the system flags, with no privilege check, and updates what depends on them: TLB choice (AC), stepping (TF), interrupts (IF).</summary>
    public static void SetSystem(ProcessorContext* c, uint flags)
    {
        uint old = c->SystemFlags;
        uint now = (flags & System) | Reserved1;
        c->SystemFlags = now;
        uint changed = old ^ now;
        if ((changed & (AlignmentCheck | Virtual8086)) != 0)
        {
            ProcessorMode.Update(c);
        }

        if ((now & Trap) != 0)
        {
            Interlocked.Or(ref c->Attention, (int)AttentionBits.Step);
        }

        if ((changed & now & Interrupt) != 0 && c->InterruptHeld)
        {
            Interlocked.Or(ref c->Attention, (int)AttentionBits.Interrupt);
        }
    }
}
