namespace Lamina.Personalities.VMware.Vmci;

/// <summary>Offsets of the registers in the device's ports, and their bits (Linux, include/linux/vmw_vmci_defs.h).</summary>
internal static class VmciRegister
{
    internal const ulong Status = 0x00;
    internal const ulong Control = 0x04;
    internal const ulong InterruptCause = 0x08;
    internal const ulong InterruptMask = 0x0c;
    internal const ulong DataOut = 0x10;
    internal const ulong DataIn = 0x14;
    internal const ulong Capabilities = 0x18;
    internal const ulong ResultLow = 0x1c;
    internal const ulong ResultHigh = 0x20;

    internal const uint StatusInterrupting = 1 << 0;

    internal const uint ControlReset = 1 << 0;
    internal const uint ControlInterruptEnable = 1 << 1;
    internal const uint ControlInterruptDisable = 1 << 2;

    internal const uint CapabilityDatagram = 1 << 2;
    internal const uint CapabilityNotifications = 1 << 3;
    internal const uint CapabilityWidePages = 1 << 4;

    /// <summary>Of the cause and the mask: datagrams wait.</summary>
    internal const uint Datagram = 1 << 0;

    /// <summary>Of the cause and the mask: a flag of the bitmap is up.</summary>
    internal const uint Notification = 1 << 1;
}
