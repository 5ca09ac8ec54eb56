using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Stack pointers for inner privilege levels, which the task-state segment holds (Intel SDM volume 3, sections 5.8.5 and 7.7).</summary>
internal static unsafe class InnerStack
{
    /// <summary>Opens the stack of privilege <paramref name="level"/> outside long mode.</summary>
    public static bool Open(ProcessorContext* c, int level, out StackWriter stack)
    {
        stack = default;
        ref SegmentCache tss = ref c->TaskRegister;
        bool wide = (tss.Type & 8) != 0;
        uint offset = wide ? (uint)level * 8 + 4 : (uint)level * 4 + 2;
        if (!tss.IsUsable || offset + (wide ? 5u : 3u) > tss.Limit)
        {
            return Fault.InvalidTss(c, DescriptorTables.Code(tss.Selector));
        }

        uint pointer;
        ushort selector;
        if (wide)
        {
            if (!SystemMemory.Load(c, tss.Base + offset, out pointer) || !SystemMemory.Load(c, tss.Base + offset + 4, out selector))
            {
                return false;
            }
        }
        else
        {
            if (!SystemMemory.Load(c, tss.Base + offset, out uint both))
            {
                return false;
            }

            pointer = (ushort)both;
            selector = (ushort)(both >> 16);
        }

        if (!SegmentLoader.CheckStack(c, selector, level, Fault.InvalidTssVector, out SegmentCache segment))
        {
            return false;
        }

        stack = StackWriter.Inner(c, segment, pointer, level);
        return true;
    }

    /// <summary>Reads RSPn of a 64-bit task-state segment.</summary>
    public static bool ReadPointer(ProcessorContext* c, int level, out ulong pointer) => ReadAt(c, 4 + (uint)level * 8, out pointer);

    /// <summary>Reads ISTn (1 to 7) of a 64-bit task-state segment.</summary>
    public static bool ReadInterruptStack(ProcessorContext* c, int index, out ulong pointer) => ReadAt(c, 0x1c + (uint)index * 8, out pointer);

    private static bool ReadAt(ProcessorContext* c, uint offset, out ulong pointer)
    {
        ref SegmentCache tss = ref c->TaskRegister;
        if (!tss.IsUsable || offset + 7 > tss.Limit)
        {
            pointer = 0;
            return Fault.InvalidTss(c, DescriptorTables.Code(tss.Selector));
        }

        return SystemMemory.Load(c, tss.Base + offset, out pointer);
    }
}
