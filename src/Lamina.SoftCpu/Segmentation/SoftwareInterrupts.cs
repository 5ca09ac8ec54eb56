using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>INT n, INT3, INTO and INT1 (Intel SDM volume 2, INT n/INTO/INT3/INT1).</summary>
internal static unsafe class SoftwareInterrupts
{
    /// <summary>CD.</summary>
    public static bool Interrupt(ProcessorContext* c, Instruction* i)
    {
        if (c->Virtual8086 && !IoPermission.HasPrivilege(c))
        {
            return Fault.GeneralProtection(c);
        }

        return Deliver(c, i, (byte)i->Immediate, EventKind.SoftwareInterrupt);
    }

    /// <summary>CC.</summary>
    public static bool Breakpoint(ProcessorContext* c, Instruction* i) => Deliver(c, i, Fault.BreakpointVector, EventKind.SoftwareInterrupt);

    /// <summary>F1.</summary>
    public static bool Debug(ProcessorContext* c, Instruction* i)
    {
        // What a load of SS has held back comes with this trap, not after it.
        if (c->PendingDebugTraps != 0)
        {
            c->Dr6 = (c->Dr6 & ~DebugUnit.AddressBits) | c->PendingDebugTraps;
            c->PendingDebugTraps = 0;
        }

        return Deliver(c, i, Fault.DebugVector, EventKind.PrivilegedSoftwareException);
    }

    /// <summary>CE.</summary>
    public static bool Overflow(ProcessorContext* c, Instruction* i)
    {
        if ((c->FlagCarry & Flags.Overflow) == 0)
        {
            c->Rip = InstructionPointer.Next(c, i);
            return true;
        }

        return Deliver(c, i, Fault.OverflowVector, EventKind.SoftwareInterrupt);
    }

    // A fault on the way is reported at this instruction, and delivered by the caller as an exception of its own: the interrupt was benign.
    private static bool Deliver(ProcessorContext* c, Instruction* i, byte vector, EventKind kind)
    {
        bool stepping = (c->SystemFlags & Flags.Trap) != 0;
        if (!Events.TryDeliver(c, vector, kind, false, 0, InstructionPointer.Next(c, i)))
        {
            c->Outcome = HandlerOutcome.Fault;
            return false;
        }

        return !stepping || TrapFlag.Cancel(c);
    }
}
