using System.Buffers.Binary;
using Lamina.Boot.Layout;
using Lamina.Machine.Processors;

namespace Lamina.Boot;

/// <summary>The segments that every boot protocol enters with: flat code and data, and for long mode the page tables that map the first 4 GiB onto themselves.</summary>
internal static class FlatProtectedMode
{
    internal const ushort CodeSelector = 0x10;
    private const ushort DataSelector = 0x18;
    private const ushort TaskSelector = 0x20;
    private const uint Code32 = 0xc09b;
    private const uint Code64 = 0xa09b;
    private const uint Data = 0xc093;
    private const uint BusyTask = 0x008b;
    private const uint TaskLimit = 0x67;
    internal const int TableSize = 0x30;
    private const ulong ProtectionEnable = 1;
    private const ulong ExtensionType = 1 << 4;
    private const ulong Paging = 1UL << 31;
    private const ulong PhysicalAddressExtension = 1 << 5;
    private const ulong LongModeEnable = 1 << 8;
    private const ulong LongModeActive = 1 << 10;
    private const uint ExtendedFeatures = 0xc000_0080;
    private const ulong ReservedFlag = 2;
    private const int PageSize = 4096;
    private const int EntriesPerTable = 512;
    private const int Gigabytes = 4;

    internal static void WriteDescriptors(BootTarget target, bool longMode)
    {
        Span<byte> table = stackalloc byte[TableSize];
        FillDescriptors(table, longMode);
        target.Write(BootArea.GlobalDescriptorTable, table);
    }

    /// <summary>Makes the table of <see cref="TableSize"/> bytes.</summary>
    internal static void FillDescriptors(Span<byte> table, bool longMode)
    {
        table.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(table[CodeSelector..], Descriptor(longMode ? Code64 : Code32, 0xf_ffff));
        BinaryPrimitives.WriteUInt64LittleEndian(table[DataSelector..], Descriptor(Data, 0xf_ffff));
        BinaryPrimitives.WriteUInt64LittleEndian(table[TaskSelector..], Descriptor(BusyTask, TaskLimit));
    }

    internal static void WritePageTables(BootTarget target)
    {
        const ulong PresentWritable = 0x3;
        const ulong LargePage = 0x80;
        const ulong Pointers = BootArea.PageTables + PageSize;
        const ulong Directories = Pointers + PageSize;
        byte[] tables = new byte[(2 + Gigabytes) * PageSize];
        BinaryPrimitives.WriteUInt64LittleEndian(tables, Pointers | PresentWritable);
        for (int i = 0; i < Gigabytes; i++)
        {
            ulong directory = Directories + (ulong)(i * PageSize);
            BinaryPrimitives.WriteUInt64LittleEndian(tables.AsSpan(PageSize + 8 * i), directory | PresentWritable);
        }

        for (int i = 0; i < Gigabytes * EntriesPerTable; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(tables.AsSpan(2 * PageSize + 8 * i), (ulong)i << 21 | PresentWritable | LargePage);
        }

        target.Write(BootArea.PageTables, tables);
    }

    internal static void SetState(ProcessorState state, bool longMode, ulong instructionPointer, ulong descriptors = BootArea.GlobalDescriptorTable)
    {
        Array.Clear(state.GeneralRegisters);
        state.Rip = instructionPointer;
        state.Rflags = ReservedFlag;
        SegmentState data = new(DataSelector, 0, uint.MaxValue, Data);
        Array.Fill(state.Segments, data);
        state.Segments[1] = new SegmentState(CodeSelector, 0, uint.MaxValue, longMode ? Code64 : Code32);
        state.TaskRegister = new SegmentState(TaskSelector, 0, TaskLimit, BusyTask);
        state.GdtBase = descriptors;
        state.GdtLimit = TableSize - 1;
        state.IdtBase = 0;
        state.IdtLimit = 0;
        state.Cr0 = ProtectionEnable | ExtensionType | (longMode ? Paging : 0);
        state.Cr3 = longMode ? BootArea.PageTables : 0;
        state.Cr4 = longMode ? PhysicalAddressExtension : 0;
        int index = state.Msrs.FindIndex(m => m.Index == ExtendedFeatures);
        MsrValue extended = new(ExtendedFeatures, longMode ? LongModeEnable | LongModeActive : 0);
        if (index >= 0)
        {
            state.Msrs[index] = extended;
        }
        else
        {
            state.Msrs.Add(extended);
            state.Msrs.Sort(static (a, b) => a.Index.CompareTo(b.Index));
        }
    }

    private static ulong Descriptor(uint attributes, uint limit)
    {
        ulong low = limit & 0xffff;
        ulong high = (attributes & 0xff) << 8 | (limit & 0xf_0000) | (attributes & 0xf000) << 8;
        return high << 32 | low;
    }
}
