namespace Lamina.Personalities.Kvm;

/// <summary>KVM's model-specific registers (Linux, Documentation/virt/kvm/x86/msr.rst).</summary>
internal static class KvmMsr
{
    internal const uint WallClock = 0x11;
    internal const uint SystemTime = 0x12;
    internal const uint WallClockNew = 0x4b56_4d00;
    internal const uint SystemTimeNew = 0x4b56_4d01;
    internal const uint StealTime = 0x4b56_4d03;
    internal const uint EndOfInterrupt = 0x4b56_4d04;
    internal const uint PollControl = 0x4b56_4d05;

    /// <summary>In the registers with an address: the record there is kept up.</summary>
    internal const ulong Enabled = 1;
}
