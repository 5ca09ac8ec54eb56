using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Segmentation;

/// <summary>Descriptors in the GDT and the current LDT (Intel SDM volume 3, section 3.5.1).</summary>
internal static unsafe class DescriptorTables
{
    /// <summary>Offset in a descriptor of the byte that holds type, S, DPL and P.</summary>
    private const uint AccessByte = 5;

    /// <summary>A selector as error codes hold it.</summary>
    public static uint Code(ushort selector) => selector & 0xfffcu;

    /// <summary>Index and table are zero; the RPL does not count.</summary>
    public static bool IsNull(ushort selector) => (selector & 0xfffc) == 0;

    /// <summary>The linear address of a descriptor.</summary>
    /// <returns><c>false</c> if it lies outside its table.</returns>
    public static bool Locate(ProcessorContext* c, ushort selector, uint size, out ulong linear)
    {
        uint offset = selector & 0xfff8u;
        if ((selector & 4) == 0)
        {
            linear = c->GdtBase + offset;
            return offset + size - 1 <= c->GdtLimit;
        }

        linear = c->LocalDescriptorTable.Base + offset;
        return c->LocalDescriptorTable.IsUsable && offset + size - 1 <= c->LocalDescriptorTable.Limit;
    }

    /// <summary>Reads a descriptor; one outside its table raises <paramref name="vector"/> with the selector.</summary>
    public static bool Fetch(ProcessorContext* c, ushort selector, byte vector, out Descriptor descriptor, out ulong linear)
    {
        if (Locate(c, selector, 8, out linear))
        {
            bool ok = SystemMemory.Load(c, linear, out ulong value);
            descriptor = new Descriptor(value);
            return ok;
        }

        descriptor = default;
        return Fault.Raise(c, vector, Code(selector));
    }

    /// <summary>
    /// Reads the upper half of a 16-byte descriptor of long mode, whose type field must be zero.
    /// Faults raise <paramref name="vector"/> with the selector.
    /// </summary>
    public static bool FetchUpper(ProcessorContext* c, ushort selector, byte vector, out uint upper)
    {
        upper = 0;
        if (!Locate(c, selector, 16, out ulong linear))
        {
            return Fault.Raise(c, vector, Code(selector));
        }

        if (!SystemMemory.Load(c, linear + 8, out ulong value))
        {
            return false;
        }

        upper = (uint)value;
        return ((value >> 40) & 31) == 0 || Fault.Raise(c, vector, Code(selector));
    }

    /// <summary>Sets the accessed bit in memory where it is clear.</summary>
    public static bool SetAccessed(ProcessorContext* c, ulong linear, Descriptor descriptor)
    {
        return (descriptor.Type & 1) != 0 || Change(c, linear, 0xff, 1);
    }

    /// <summary>Marks a task-state segment busy in memory.</summary>
    public static bool SetBusy(ProcessorContext* c, ulong linear) => Change(c, linear, 0xff, (byte)DescriptorType.Busy);

    /// <summary>Marks a task-state segment available in memory.</summary>
    public static bool ClearBusy(ProcessorContext* c, ulong linear) => Change(c, linear, unchecked((byte)~DescriptorType.Busy), 0);

    private static bool Change(ProcessorContext* c, ulong linear, byte keep, byte set)
    {
        return SystemMemory.Load(c, linear + AccessByte, out byte access)
            && SystemMemory.Store(c, linear + AccessByte, (byte)((access & keep) | set));
    }
}
