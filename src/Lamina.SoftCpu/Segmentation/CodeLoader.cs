using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Loads of CS.</summary>
internal static unsafe class CodeLoader
{
    /// <summary>Enters a code segment at a privilege level. SS, RSP and RFLAGS are already what they will be.</summary>
    public static void Enter(ProcessorContext* c, ushort selector, Descriptor code, byte level, ulong rip)
    {
        SegmentLoader.Fill(ref c->Segments[SegmentRegister.Cs], (ushort)((selector & ~3) | level), code);
        c->Cpl = level;
        c->Rip = rip;
        ProcessorMode.Update(c);
    }

    /// <summary>Enters a paragraph of real or virtual-8086 mode. In real mode limit and attributes of CS stay as they are.</summary>
    public static void EnterUnprotected(ProcessorContext* c, ushort selector, ulong rip)
    {
        ref SegmentCache cs = ref c->Segments[SegmentRegister.Cs];
        cs.Selector = selector;
        cs.Base = (uint)selector << 4;
        c->SegmentBase[SegmentRegister.Cs] = cs.Base;
        c->Rip = rip;
    }

    /// <summary>
    /// Checks of a code segment that a far jump or call names directly, or that a jump through a gate leads to
    /// (Intel SDM volume 3, section 5.8.1).
    /// </summary>
    public static bool CheckSameLevel(ProcessorContext* c, ushort selector, Descriptor d, bool checkRpl)
    {
        int cpl = c->Cpl;
        bool ok = d.IsCode && !(c->LongMode && d.IsLongAndBig);
        ok = ok && (d.IsConforming ? d.Dpl <= cpl : d.Dpl == cpl && (!checkRpl || (selector & 3) <= cpl));
        if (!ok)
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        return d.IsPresent || Fault.SegmentNotPresent(c, DescriptorTables.Code(selector));
    }
}
