using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Who may use which I/O port (Intel SDM volume 1, section 19.5).</summary>
internal static unsafe class IoPermission
{
    private const uint MapBaseOffset = 0x66;

    /// <summary>CPL is at most IOPL (in real mode always).</summary>
    public static bool HasPrivilege(ProcessorContext* c) => c->Cpl <= ((c->SystemFlags & Flags.IoPrivilege) >> 12);

    /// <summary>Checks an access to <paramref name="size"/> ports by IOPL, and by the permission map of the task: #GP(0) if it is denied.</summary>
    public static bool Check(ProcessorContext* c, ushort port, int size)
    {
        return (!c->Virtual8086 && HasPrivilege(c)) || CheckMap(c, port, size);
    }

    private static bool CheckMap(ProcessorContext* c, ushort port, int size)
    {
        ref SegmentCache tss = ref c->TaskRegister;
        if (!tss.IsUsable || (tss.Type & 8) == 0 || tss.Limit < MapBaseOffset + 1)
        {
            return Fault.GeneralProtection(c);
        }

        if (!SystemMemory.Load(c, tss.Base + MapBaseOffset, out ushort mapBase))
        {
            return false;
        }

        // Two bytes are always read, and both must lie inside the segment.
        uint offset = mapBase + ((uint)port >> 3);
        if (offset + 1 > tss.Limit)
        {
            return Fault.GeneralProtection(c);
        }

        if (!SystemMemory.Load(c, tss.Base + offset, out ushort bits))
        {
            return false;
        }

        uint mask = (1u << size) - 1;
        return ((bits >> (port & 7)) & mask) == 0 || Fault.GeneralProtection(c);
    }
}
