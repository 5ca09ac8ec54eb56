using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>A code segment to which a far RET or IRET returns, checked (Intel SDM volume 2, RET and IRET).</summary>
internal unsafe struct ReturnTarget
{
    public ushort Selector;
    public byte Level;
    public Descriptor Descriptor;
    public ulong Linear;

    /// <summary>Reads and checks it.</summary>
    public static bool Check(ProcessorContext* c, ushort selector, out ReturnTarget target)
    {
        target = default;
        if (DescriptorTables.IsNull(selector))
        {
            return Fault.GeneralProtection(c);
        }

        if (!DescriptorTables.Fetch(c, selector, Fault.GeneralProtectionVector, out Descriptor d, out ulong linear))
        {
            return false;
        }

        int rpl = selector & 3;
        bool ok = d.IsCode && rpl >= c->Cpl && (d.IsConforming ? d.Dpl <= rpl : d.Dpl == rpl);
        if (!ok || (c->LongMode && d.IsLongAndBig))
        {
            return Fault.GeneralProtection(c, DescriptorTables.Code(selector));
        }

        if (!d.IsPresent)
        {
            return Fault.SegmentNotPresent(c, DescriptorTables.Code(selector));
        }

        target.Selector = selector;
        target.Level = (byte)rpl;
        target.Descriptor = d;
        target.Linear = linear;
        return true;
    }

    /// <summary>Whether 64-bit code follows.</summary>
    public readonly bool IsLong(ProcessorContext* c) => c->LongMode && Descriptor.IsLong;

    /// <summary>Reads and checks the stack segment that goes with it.</summary>
    public readonly bool CheckStack(ProcessorContext* c, ushort selector, out SegmentCache stack)
    {
        if (DescriptorTables.IsNull(selector) && IsLong(c) && Level != 3)
        {
            stack = default;
            SegmentLoader.FillNullStack(ref stack, selector);
            return true;
        }

        return SegmentLoader.CheckStack(c, selector, Level, Fault.GeneralProtectionVector, out stack);
    }

    /// <summary>RSP of the outer stack, <paramref name="release"/> bytes further up.</summary>
    public readonly ulong OuterPointer(ProcessorContext* c, in SegmentCache stack, ulong popped, int release)
    {
        ulong pointer = popped + (ulong)release;
        return IsLong(c) ? pointer : stack.IsBig ? (uint)pointer : (c->Registers[4] & ~0xffffUL) | (ushort)pointer;
    }
}
