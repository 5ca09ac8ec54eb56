using Lamina.Boot.Elf;
using Lamina.Boot.Layout;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Multiboot;

/// <summary>
/// An image that is entered as Multiboot 0.6.96 says: in 32-bit protected mode without paging, EBX at the Multiboot information. What is loaded where is in ELF's program headers, or, of any
/// other file, in the header's address fields. The initial RAM disk is its one module. The file is hostile input.
/// </summary>
internal sealed class MultibootKernel : IKernel
{
    private const uint LoaderMagic = 0x2bad_b002;
    private const ulong StructuresEnd = BootArea.BootParameters;
    private readonly BootImageReader _image;
    private readonly LoadedRange[] _ranges;
    private readonly uint _entry;

    /// <summary>Examines the file.</summary>
    /// <exception cref="BootException">It is not sound.</exception>
    internal MultibootKernel(BootImageReader image, in MultibootHeader header, bool isElf)
    {
        _image = image;
        (_ranges, ulong entry) = header.HasAddresses ? ReadAddresses(image, header) : isElf ? ReadSegments(image)
            : throw new BootException($"'{image.Name}' has a Multiboot header without addresses, and is no ELF file; one of them is needed.");
        Start = ulong.MaxValue;
        foreach (LoadedRange range in _ranges)
        {
            CheckPlace(range);
            Start = Math.Min(Start, range.Address);
            End = Math.Max(End, range.Address + range.MemoryLength);
        }

        if (!Array.Exists(_ranges, r => entry >= r.Address && entry - r.Address < r.MemoryLength))
        {
            throw new BootException($"'{image.Name}' has its Multiboot entry at 0x{entry:x}, outside of what is loaded.");
        }

        _entry = (uint)entry;
    }

    /// <inheritdoc/>
    public BootProtocol Protocol => BootProtocol.Multiboot;

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
        foreach (LoadedRange range in _ranges)
        {
            target.Copy(_image, (long)range.FileOffset, (long)range.FileLength, range.Address);
            target.Clear(range.Address + range.FileLength, range.MemoryLength - range.FileLength);
        }

        BiosMemory.Write(target);
        FlatProtectedMode.WriteDescriptors(target, longMode: false);
        target.Write(BootArea.StartInformation, MultibootInformation.Create(target.Layout, handover));
    }

    /// <inheritdoc/>
    public void SetEntryState(ProcessorState state)
    {
        const int Rax = 0;
        const int Rbx = 3;
        FlatProtectedMode.SetState(state, longMode: false, _entry);
        state.GeneralRegisters[Rax] = LoaderMagic;
        state.GeneralRegisters[Rbx] = BootArea.StartInformation;
    }

    // Section 3.1.3. The file's bytes that come before the header's are loaded as far as the load address says.
    private static (LoadedRange[] Ranges, ulong Entry) ReadAddresses(BootImageReader image, in MultibootHeader header)
    {
        if (header.Load > header.Header || header.Header - header.Load > header.Offset)
        {
            throw new BootException($"'{image.Name}' has its Multiboot header at byte {header.Offset} and wants it at 0x{header.Header:x}, loaded from 0x{header.Load:x} on; the file does not begin that early.");
        }

        ulong offset = (ulong)header.Offset - (header.Header - header.Load);
        ulong rest = (ulong)image.Length - offset;
        ulong length = header.LoadEnd == 0 ? rest : (ulong)header.LoadEnd - header.Load;
        if (header.LoadEnd != 0 && header.LoadEnd < header.Load)
        {
            throw new BootException($"'{image.Name}' is a Multiboot image that is loaded from 0x{header.Load:x} to 0x{header.LoadEnd:x}, which is before.");
        }

        if (length > rest)
        {
            throw new BootException($"'{image.Name}' is truncated: {length} bytes from byte {offset} on are to be loaded, and the file has {image.Length}.");
        }

        ulong loadEnd = header.Load + length;
        if (header.ClearEnd != 0 && header.ClearEnd < loadEnd)
        {
            throw new BootException($"'{image.Name}' is a Multiboot image whose cleared memory ends at 0x{header.ClearEnd:x}, before the loaded bytes end at 0x{loadEnd:x}.");
        }

        ulong memoryLength = header.ClearEnd == 0 ? length : (ulong)header.ClearEnd - header.Load;
        return ([new LoadedRange(offset, length, header.Load, memoryLength)], header.Entry);
    }

    private static (LoadedRange[] Ranges, ulong Entry) ReadSegments(BootImageReader image)
    {
        ElfImage elf = new(image);
        List<LoadedRange> ranges = [];
        ulong entry = elf.Entry;
        foreach (ElfSegment segment in elf.Segments)
        {
            if (segment.Type != ElfSegment.Loadable || segment.MemorySize == 0)
            {
                continue;
            }

            ranges.Add(new LoadedRange(segment.FileOffset, segment.FileSize, segment.PhysicalAddress, segment.MemorySize));
            if (elf.Entry >= segment.VirtualAddress && elf.Entry - segment.VirtualAddress < segment.MemorySize)
            {
                entry = unchecked(elf.Entry - segment.VirtualAddress + segment.PhysicalAddress);
            }
        }

        return ([.. ranges], entry);
    }

    private void CheckPlace(LoadedRange range)
    {
        if (range.Address > uint.MaxValue || range.MemoryLength > uint.MaxValue || range.Address + range.MemoryLength > 1UL << 32 || range.Address < StructuresEnd
            || Overlaps(BootArea.CommandLine, BootArea.End) || Overlaps(MachineLayout.ExtendedBiosData, MachineLayout.HighMemoryStart))
        {
            throw new BootException(
                $"'{_image.Name}' wants {range.MemoryLength} bytes at physical address 0x{range.Address:x}; from 0x{StructuresEnd:x} to 0x{BootArea.CommandLine:x}, from 0x{BootArea.End:x} to 0x{MachineLayout.ExtendedBiosData:x}, and from 0x{MachineLayout.HighMemoryStart:x} to 4 GiB there is room.");
        }

        bool Overlaps(ulong from, ulong to) => range.Address < to && range.Address + range.MemoryLength > from;
    }
}
