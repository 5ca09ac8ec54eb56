using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Delivery of exceptions and interrupts, and what happens when that faults (Intel SDM volume 3, chapter 6).</summary>
internal static unsafe class Events
{
    private const ulong DebugGeneralDetect = 0x2000;

    // Benign events can alternate with faults; a real processor is interruptible there, this loop is not.
    private const int MaximumNesting = 16;

    /// <summary>
    /// Delivers an event whose return address is <see cref="ProcessorContext.Rip"/>. A fault on the way is delivered in its place, or as a double fault.
    /// </summary>
    /// <returns><c>false</c> if the processor shut down.</returns>
    public static bool Deliver(ProcessorContext* c, byte vector, EventKind kind, bool hasCode, uint code)
    {
        for (int depth = 0; depth < MaximumNesting; depth++)
        {
            if (TryDeliver(c, vector, kind, hasCode, code, c->Rip))
            {
                return true;
            }

            FaultClass first = kind == EventKind.Exception ? Classify(vector) : FaultClass.Benign;
            FaultClass second = Classify(c->FaultVector);
            kind = EventKind.Exception;
            if (first == FaultClass.DoubleFault && second != FaultClass.Benign)
            {
                break;
            }

            bool doubleFault = (first == FaultClass.Contributory && second == FaultClass.Contributory)
                || (first == FaultClass.Page && second is FaultClass.Contributory or FaultClass.Page);
            if (doubleFault)
            {
                vector = Fault.DoubleFaultVector;
                hasCode = true;
                code = 0;
            }
            else
            {
                vector = c->FaultVector;
                hasCode = c->FaultHasCode;
                code = c->FaultCode;
            }
        }

        c->Outcome = HandlerOutcome.Shutdown;
        return false;
    }

    /// <summary>Delivers an event once.</summary>
    /// <returns><c>false</c> with a fault recorded, with its EXT bit, and nothing changed (but see <see cref="TaskSwitch"/>).</returns>
    public static bool TryDeliver(ProcessorContext* c, byte vector, EventKind kind, bool hasCode, uint code, ulong rip)
    {
        c->InterruptShadow = false;
        c->StackSegmentShadow = false;
        if (kind == EventKind.NonMaskable)
        {
            c->NonMaskableBlocked = true;
        }

        // A fault-class exception pushes RF set; a debug exception and everything else pushes what is there (SDM volume 3, section 18.3.1.1).
        uint flags = Flags.Get(c);
        if (kind == EventKind.Exception && vector != Fault.DebugVector)
        {
            flags |= Flags.Resume;
        }
        else if (kind is EventKind.SoftwareInterrupt or EventKind.PrivilegedSoftwareException)
        {
            flags &= ~Flags.Resume;
        }

        PendingEvent e = new() { Vector = vector, Kind = kind, HasCode = hasCode, Code = code, Rip = rip, Flags = flags };
        bool done = c->LongMode ? LongModeGates.Deliver(c, e)
            : c->Protected || c->Virtual8086 ? ProtectedGates.Deliver(c, e)
            : RealModeVectors.Deliver(c, e);
        if (!done)
        {
            if (kind != EventKind.SoftwareInterrupt
                && c->FaultVector is >= Fault.InvalidTssVector and <= Fault.GeneralProtectionVector)
            {
                c->FaultCode |= 1;
            }

            return false;
        }

        c->Halted = false;
        if (kind == EventKind.Exception && vector == Fault.DebugVector)
        {
            c->Dr7 &= ~DebugGeneralDetect;
        }

        return true;
    }

    private static FaultClass Classify(byte vector) => vector switch
    {
        Fault.DivideErrorVector => FaultClass.Contributory,
        >= Fault.InvalidTssVector and <= Fault.GeneralProtectionVector => FaultClass.Contributory,
        Fault.PageFaultVector => FaultClass.Page,
        Fault.DoubleFaultVector => FaultClass.DoubleFault,
        _ => FaultClass.Benign,
    };

    // Intel SDM volume 3, table 6-4.
    private enum FaultClass
    {
        Benign,
        Contributory,
        Page,
        DoubleFault,
    }
}
