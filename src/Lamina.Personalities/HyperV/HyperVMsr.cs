namespace Lamina.Personalities.HyperV;

/// <summary>Synthetic model-specific registers (Hypervisor Top-Level Functional Specification, appendix C).</summary>
internal static class HyperVMsr
{
    internal const uint GuestOsId = 0x4000_0000;
    internal const uint Hypercall = 0x4000_0001;
    internal const uint VpIndex = 0x4000_0002;
    internal const uint Reset = 0x4000_0003;
    internal const uint TimeReferenceCount = 0x4000_0020;
    internal const uint ReferenceTsc = 0x4000_0021;
    internal const uint TscFrequency = 0x4000_0022;
    internal const uint ApicFrequency = 0x4000_0023;
    internal const uint EndOfInterrupt = 0x4000_0070;
    internal const uint InterruptCommand = 0x4000_0071;
    internal const uint TaskPriority = 0x4000_0072;
    internal const uint VpAssistPage = 0x4000_0073;
    internal const uint SControl = 0x4000_0080;
    internal const uint SVersion = 0x4000_0081;
    internal const uint EventFlagsPage = 0x4000_0082;
    internal const uint MessagePage = 0x4000_0083;
    internal const uint EndOfMessage = 0x4000_0084;
    internal const uint FirstSint = 0x4000_0090;
    internal const uint LastSint = 0x4000_009f;
    internal const uint FirstTimer = 0x4000_00b0;
    internal const uint LastTimer = 0x4000_00b7;
    internal const uint CrashFirst = 0x4000_0100;
    internal const uint CrashLast = 0x4000_0104;
    internal const uint CrashControl = 0x4000_0105;
    internal const uint TscInvariantControl = 0x4000_0118;
}
