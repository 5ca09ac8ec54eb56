namespace Lamina.SoftCpu.Execute;

/// <summary>Records an exception for delivery after the handler. Every method answers <c>false</c>, so that a handler can return it.</summary>
internal static unsafe class Fault
{
    public const byte DivideErrorVector = 0;
    public const byte DebugVector = 1;
    public const byte NonMaskableVector = 2;
    public const byte BreakpointVector = 3;
    public const byte OverflowVector = 4;
    public const byte BoundRangeVector = 5;
    public const byte InvalidOpcodeVector = 6;
    public const byte DeviceNotAvailableVector = 7;
    public const byte DoubleFaultVector = 8;
    public const byte InvalidTssVector = 10;
    public const byte SegmentNotPresentVector = 11;
    public const byte StackFaultVector = 12;
    public const byte GeneralProtectionVector = 13;
    public const byte PageFaultVector = 14;
    public const byte FloatingPointVector = 16;
    public const byte AlignmentCheckVector = 17;
    public const byte SimdFloatingPointVector = 19;

    /// <summary>An exception without an error code.</summary>
    public static bool Raise(ProcessorContext* c, byte vector)
    {
        c->Outcome = HandlerOutcome.Fault;
        c->FaultVector = vector;
        c->FaultHasCode = false;
        c->FaultCode = 0;
        return false;
    }

    /// <summary>An exception with an error code.</summary>
    public static bool Raise(ProcessorContext* c, byte vector, uint code)
    {
        c->Outcome = HandlerOutcome.Fault;
        c->FaultVector = vector;
        c->FaultHasCode = true;
        c->FaultCode = code;
        return false;
    }

    public static bool DivideError(ProcessorContext* c) => Raise(c, DivideErrorVector);

    public static bool InvalidOpcode(ProcessorContext* c) => Raise(c, InvalidOpcodeVector);

    public static bool DeviceNotAvailable(ProcessorContext* c) => Raise(c, DeviceNotAvailableVector);

    public static bool GeneralProtection(ProcessorContext* c, uint code = 0) => Raise(c, GeneralProtectionVector, code);

    public static bool StackFault(ProcessorContext* c, uint code = 0) => Raise(c, StackFaultVector, code);

    public static bool SegmentNotPresent(ProcessorContext* c, uint code) => Raise(c, SegmentNotPresentVector, code);

    public static bool InvalidTss(ProcessorContext* c, uint code) => Raise(c, InvalidTssVector, code);

    public static bool FloatingPoint(ProcessorContext* c) => Raise(c, FloatingPointVector);

    public static bool SimdFloatingPoint(ProcessorContext* c) => Raise(c, SimdFloatingPointVector);

    public static bool AlignmentCheck(ProcessorContext* c) => Raise(c, AlignmentCheckVector, 0);

    /// <summary>#PF: sets CR2 too. Error code bits: 0 present, 1 write, 2 user, 3 reserved bit, 4 instruction fetch (Intel SDM volume 3, section 4.7).</summary>
    public static bool Page(ProcessorContext* c, ulong address, uint code)
    {
        c->Cr2 = address;
        return Raise(c, PageFaultVector, code);
    }
}
