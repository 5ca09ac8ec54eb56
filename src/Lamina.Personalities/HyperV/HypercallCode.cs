namespace Lamina.Personalities.HyperV;

/// <summary>Hypercalls (Top-Level Functional Specification, appendix A).</summary>
internal enum HypercallCode : ushort
{
    FlushVirtualAddressSpace = 0x0002,
    FlushVirtualAddressList = 0x0003,
    NotifyLongSpinWait = 0x0008,
    SendSyntheticClusterIpi = 0x000b,
    FlushVirtualAddressSpaceEx = 0x0013,
    FlushVirtualAddressListEx = 0x0014,
    SendSyntheticClusterIpiEx = 0x0015,

    /// <summary>The first of those that only a parent partition may make, but for the ones listed here.</summary>
    FirstOfParent = 0x0040,
    GetVpRegisters = 0x0050,
    SetVpRegisters = 0x0051,
    PostMessage = 0x005c,
    SignalEvent = 0x005d,

    /// <summary>The last of those of parent partitions.</summary>
    LastOfParent = 0x00ff,
    QueryCapabilities = 0x8001,
    MemoryHeatHint = 0x8003,
}
