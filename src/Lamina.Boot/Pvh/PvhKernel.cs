using System.Buffers.Binary;
using Lamina.Boot.Elf;
using Lamina.Boot.Layout;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Pvh;

/// <summary>
/// An ELF file that is entered in 32-bit protected mode at the address of its XEN_ELFNOTE_PHYS32_ENTRY note (Xen, docs/misc/pvh.pandoc and
/// public/arch-x86/hvm/start_info.h). The file is hostile input.
/// </summary>
internal sealed class PvhKernel : IKernel
{
    private const uint EntryNote = 18;
    private const uint StartInformationMagic = 0x336e_c578;
    private const int StartInformationSize = 56;
    private const int ModuleSize = 32;
    private const int MemoryMapEntrySize = 24;
    private const int MaximumNotes = 64 << 10;
    private readonly BootImageReader _image;
    private readonly ElfImage _elf;
    private readonly uint _entry;

    /// <summary>Examines the file.</summary>
    /// <exception cref="BootException">It is not sound, or has no such entry.</exception>
    internal PvhKernel(BootImageReader image, BootProtocol wanted)
    {
        _image = image;
        if (wanted is BootProtocol.Linux32 or BootProtocol.Linux64)
        {
            throw new BootException($"'{image.Name}' is an ELF file, which is entered by PVH only; the Linux protocols need a bzImage.");
        }

        _elf = new ElfImage(image);
        _entry = FindEntry(image, _elf) ?? throw new BootException($"'{image.Name}' is an ELF file without a PVH entry note; a kernel built with CONFIG_PVH, or a bzImage, is accepted.");
        ulong start = ulong.MaxValue;
        ulong end = 0;
        foreach (ElfSegment segment in _elf.Segments)
        {
            if (segment.Type != ElfSegment.Loadable || segment.MemorySize == 0)
            {
                continue;
            }

            if (segment.PhysicalAddress > uint.MaxValue || segment.MemorySize > uint.MaxValue || segment.PhysicalAddress < BootArea.End)
            {
                throw new BootException($"'{image.Name}' has a segment of {segment.MemorySize} bytes at physical address 0x{segment.PhysicalAddress:x}; addresses from 0x{BootArea.End:x} to 4 GiB are accepted.");
            }

            start = Math.Min(start, segment.PhysicalAddress);
            end = Math.Max(end, segment.PhysicalAddress + segment.MemorySize);
        }

        if (_entry < start || _entry >= end)
        {
            throw new BootException($"'{image.Name}' has its PVH entry at 0x{_entry:x}, outside its segments.");
        }

        Start = start;
        End = end;
    }

    /// <inheritdoc/>
    public BootProtocol Protocol => BootProtocol.Pvh;

    /// <inheritdoc/>
    public ulong Start { get; }

    /// <inheritdoc/>
    public ulong End { get; }

    /// <inheritdoc/>
    public ulong InitrdMaximumAddress => uint.MaxValue;

    /// <inheritdoc/>
    public int CommandLineMaximumLength => BootArea.CommandLineCapacity - 1;

    /// <inheritdoc/>
    public void Load(BootTarget target, in Handover handover)
    {
        foreach (ElfSegment segment in _elf.Segments)
        {
            if (segment.Type == ElfSegment.Loadable)
            {
                target.Copy(_image, (long)segment.FileOffset, (long)segment.FileSize, segment.PhysicalAddress);
                target.Clear(segment.PhysicalAddress + segment.FileSize, segment.MemorySize - segment.FileSize);
            }
        }

        FlatProtectedMode.WriteDescriptors(target, longMode: false);
        target.Write(BootArea.StartInformation, CreateStartInformation(target.Layout, handover));
    }

    /// <inheritdoc/>
    public void SetEntryState(ProcessorState state)
    {
        const int Rbx = 3;
        FlatProtectedMode.SetState(state, longMode: false, _entry);
        state.GeneralRegisters[Rbx] = BootArea.StartInformation;
    }

    // The start information, the list of one module (the initial RAM disk), and the memory map, one after the other.
    private static byte[] CreateStartInformation(MachineLayout layout, in Handover handover)
    {
        const ulong Modules = BootArea.StartInformation + StartInformationSize;
        const ulong MemoryMap = Modules + ModuleSize;
        byte[] bytes = new byte[StartInformationSize + ModuleSize + layout.MemoryMap.Count * MemoryMapEntrySize];
        bool hasInitrd = handover.InitrdLength != 0;
        Put(bytes, 0, StartInformationMagic);
        Put(bytes, 4, 1u);
        Put(bytes, 12, hasInitrd ? 1u : 0u);
        Put(bytes, 16, hasInitrd ? Modules : 0UL);
        Put(bytes, 24, BootArea.CommandLine);
        Put(bytes, 32, handover.RootPointerAddress);
        Put(bytes, 40, MemoryMap);
        Put(bytes, 48, (uint)layout.MemoryMap.Count);
        Put(bytes, StartInformationSize, handover.InitrdAddress);
        Put(bytes, StartInformationSize + 8, handover.InitrdLength);
        int offset = StartInformationSize + ModuleSize;
        foreach (MemoryRange range in layout.MemoryMap)
        {
            Put(bytes, offset, range.Address);
            Put(bytes, offset + 8, range.Length);
            Put(bytes, offset + 16, (uint)range.Type);
            offset += MemoryMapEntrySize;
        }

        return bytes;
    }

    private static void Put(byte[] bytes, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), value);

    private static void Put(byte[] bytes, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset), value);

    /// <summary>Whether an ELF file names such an entry.</summary>
    /// <exception cref="BootException">It is not sound.</exception>
    internal static bool Recognizes(BootImageReader image) => FindEntry(image, new ElfImage(image)) != null;

    private static uint? FindEntry(BootImageReader image, ElfImage elf)
    {
        foreach (ElfSegment segment in elf.Segments)
        {
            if (segment.Type != ElfSegment.Notes || segment.FileSize > MaximumNotes)
            {
                continue;
            }

            byte[] notes = new byte[segment.FileSize];
            image.Read((long)segment.FileOffset, notes);
            if (FindEntry(notes, segment.Alignment == 8 ? 8 : 4) is uint entry)
            {
                return entry;
            }
        }

        return null;
    }

    // A note: length of the name, length of the description, type; then the name and the description, each padded.
    private static uint? FindEntry(ReadOnlySpan<byte> notes, int alignment)
    {
        const int HeaderSize = 12;
        while (notes.Length >= HeaderSize)
        {
            uint nameLength = BinaryPrimitives.ReadUInt32LittleEndian(notes);
            uint descriptionLength = BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(notes[8..]);
            long description = Align((long)HeaderSize + nameLength, alignment);
            long next = Align(description + descriptionLength, alignment);
            if (description + descriptionLength > notes.Length)
            {
                return null;
            }

            if (type == EntryNote && descriptionLength >= 4 && notes.Slice(HeaderSize, (int)nameLength).SequenceEqual("Xen\0"u8))
            {
                return BinaryPrimitives.ReadUInt32LittleEndian(notes[(int)description..]);
            }

            if (next >= notes.Length)
            {
                return null;
            }

            notes = notes[(int)next..];
        }

        return null;
    }

    private static long Align(long value, int alignment) => (value + alignment - 1) & -alignment;
}
