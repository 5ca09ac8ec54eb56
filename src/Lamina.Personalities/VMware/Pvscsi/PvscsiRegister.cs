namespace Lamina.Personalities.VMware.Pvscsi;

/// <summary>Offsets of the registers, each of 32 bits (Linux, drivers/scsi/vmw_pvscsi.h, enum PVSCSIRegOffset).</summary>
internal static class PvscsiRegister
{
    internal const ulong Command = 0x0;
    internal const ulong CommandData = 0x4;
    internal const ulong CommandStatus = 0x8;
    internal const ulong InterruptStatus = 0x100c;
    internal const ulong InterruptMask = 0x2010;
    internal const ulong KickNonRwIo = 0x3014;
    internal const ulong KickRwIo = 0x4018;
}
