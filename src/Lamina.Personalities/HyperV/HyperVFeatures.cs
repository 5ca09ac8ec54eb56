namespace Lamina.Personalities.HyperV;

/// <summary>Bits of leaves 4000_0003H and 4000_0004H (Top-Level Functional Specification, section 2.4).</summary>
internal static class HyperVFeatures
{
    // EAX of 4000_0003H.
    internal const uint TimeReferenceCount = 1 << 1;
    internal const uint SyntheticInterruptController = 1 << 2;
    internal const uint SyntheticTimers = 1 << 3;
    internal const uint ApicAccess = 1 << 4;
    internal const uint Hypercalls = 1 << 5;
    internal const uint VpIndex = 1 << 6;
    internal const uint Reset = 1 << 7;
    internal const uint ReferenceTsc = 1 << 9;
    internal const uint Frequencies = 1 << 11;
    internal const uint TscInvariant = 1 << 15;

    // EBX of 4000_0003H.
    internal const uint PostMessages = 1 << 4;
    internal const uint SignalEvents = 1 << 5;
    internal const uint VpRegisters = 1 << 17;
    internal const uint ExtendedHypercalls = 1 << 20;

    // EDX of 4000_0003H.
    internal const uint VectorInput = 1 << 4;
    internal const uint FrequencyRegisters = 1 << 8;
    internal const uint CrashRegisters = 1 << 10;
    internal const uint VectorOutput = 1 << 15;
    internal const uint DirectTimers = 1 << 19;

    // EAX of 4000_0004H.
    internal const uint UseRemoteFlush = 1 << 2;
    internal const uint UseApicRegisters = 1 << 3;
    internal const uint RelaxedTiming = 1 << 5;
    internal const uint NoAutoEndOfInterrupt = 1 << 9;
    internal const uint UseIpiHypercall = 1 << 10;
    internal const uint UseProcessorSets = 1 << 11;
}
