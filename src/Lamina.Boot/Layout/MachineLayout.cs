using Lamina.Machine.Memory;

namespace Lamina.Boot.Layout;

/// <summary>
/// Where the RAM of a PC is, for a given size: from 0 with a hole for VGA, up to the PCI windows below 4 GiB, and the rest from 4 GiB on. The offset of a page in the
/// backing memory is its address below the PCI hole, and its address less the hole above it. RAM that is added while the machine runs lies behind all other, in both, and the guest is not told of it.
/// </summary>
public sealed class MachineLayout
{
    /// <summary>First address of the VGA window, which is no RAM.</summary>
    public const ulong VgaStart = 0xa_0000;

    /// <summary>First address after the VGA window. From here to <see cref="HighMemoryStart"/> is RAM that holds what firmware would.</summary>
    public const ulong FirmwareStart = 0xc_0000;

    /// <summary>First address of RAM above the firmware's area.</summary>
    public const ulong HighMemoryStart = 0x10_0000;

    /// <summary>Where the extended BIOS data area would begin: the last KiB below <see cref="VgaStart"/>.</summary>
    public const ulong ExtendedBiosData = 0x9_fc00;

    /// <summary>RAM below 4 GiB ends here at the latest: the PCI configuration window follows.</summary>
    public const ulong LowMemoryLimit = 0xb000_0000;

    /// <summary>Length of the PCI configuration window.</summary>
    public const ulong ConfigurationWindowLength = 0x1000_0000;

    /// <summary>Where the rest of RAM goes.</summary>
    public const ulong UpperMemoryStart = 0x1_0000_0000;

    /// <summary>
    /// What is added while the machine runs begins at a multiple of this, and its length is one: 128 MiB, a block of memory of Linux's on x86. Longer blocks (of guests with 64 GiB or more) divide the end of
    /// the RAM that such a guest has at the start (Linux, probe_memory_block_size), so that what is added begins at a multiple of those, too.
    /// </summary>
    public const ulong HotAddUnit = 128UL << 20;

    /// <summary>Lays out <paramref name="memorySize"/> bytes of RAM.</summary>
    /// <param name="memorySize">What there is at the start, in bytes.</param>
    /// <param name="hotAddLength">What may be added later, in bytes.</param>
    /// <param name="screenLength">What of it is a screen's, in bytes: the last RAM below 4 GiB, of which the guest is not told by the map.</param>
    /// <param name="hasConfigurationWindow">Whether there is a PCI configuration window, which the guest is told to keep clear of. Its place stays free of RAM without one.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not a multiple of 1 MiB, or less than 2 MiB beside the screen's; or what may be added is not a multiple of <see cref="HotAddUnit"/>.</exception>
    public MachineLayout(ulong memorySize, ulong hotAddLength = 0, ulong screenLength = 0, bool hasConfigurationWindow = true)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(memorySize, (2 * HighMemoryStart) + screenLength);
        ArgumentOutOfRangeException.ThrowIfNotEqual(memorySize % HighMemoryStart, 0UL);
        ArgumentOutOfRangeException.ThrowIfNotEqual(hotAddLength % HotAddUnit, 0UL);
        MemorySize = memorySize;
        ArgumentOutOfRangeException.ThrowIfNotEqual(screenLength % HighMemoryStart, 0UL);
        LowMemoryEnd = Math.Min(memorySize, LowMemoryLimit) - screenLength;
        ScreenLength = screenLength;
        UpperMemoryEnd = memorySize > LowMemoryLimit ? UpperMemoryStart + (memorySize - LowMemoryLimit) : UpperMemoryStart;
        HotAddStart = (UpperMemoryEnd + HotAddUnit - 1) & ~(HotAddUnit - 1);
        HotAddLength = hotAddLength;

        List<MemoryRange> map =
        [
            new(0, ExtendedBiosData, MemoryRangeType.Usable),
            new(ExtendedBiosData, VgaStart - ExtendedBiosData, MemoryRangeType.Reserved),
            new(FirmwareStart, HighMemoryStart - FirmwareStart, MemoryRangeType.Reserved),
            new(HighMemoryStart, LowMemoryEnd - HighMemoryStart, MemoryRangeType.Usable),
        ];
        if (hasConfigurationWindow)
        {
            map.Add(new MemoryRange(LowMemoryLimit, ConfigurationWindowLength, MemoryRangeType.Reserved));
        }

        if (UpperMemoryLength > 0)
        {
            map.Add(new MemoryRange(UpperMemoryStart, UpperMemoryLength, MemoryRangeType.Usable));
        }

        MemoryMap = map;
    }

    /// <summary>Bytes of RAM at the start, the VGA hole's included.</summary>
    public ulong MemorySize { get; }

    /// <summary>The address after the RAM below 4 GiB that is the guest's. What is a screen's begins there.</summary>
    public ulong LowMemoryEnd { get; }

    /// <summary>Bytes of RAM that are a screen's.</summary>
    public ulong ScreenLength { get; }

    /// <summary>The address after all RAM of the start, at least 4 GiB.</summary>
    public ulong UpperMemoryEnd { get; }

    /// <summary>Bytes of RAM from 4 GiB on.</summary>
    public ulong UpperMemoryLength => UpperMemoryEnd - UpperMemoryStart;

    /// <summary>Where RAM begins that may be added.</summary>
    public ulong HotAddStart { get; }

    /// <summary>Bytes of it.</summary>
    public ulong HotAddLength { get; }

    /// <summary>The address after all RAM that there can be.</summary>
    public ulong End => HotAddLength == 0 ? UpperMemoryEnd : HotAddStart + HotAddLength;

    /// <summary>What the guest is told, by ascending address.</summary>
    public IReadOnlyList<MemoryRange> MemoryMap { get; }

    /// <summary>The regions of RAM over one host mapping of <see cref="MemorySize"/> and <see cref="HotAddLength"/> bytes.</summary>
    public GuestMemoryRegion[] CreateRegions(nint hostAddress)
    {
        List<GuestMemoryRegion> regions =
        [
            new(0, VgaStart, hostAddress),
            new(FirmwareStart, LowMemoryEnd + ScreenLength - FirmwareStart, hostAddress + (nint)FirmwareStart),
        ];
        if (UpperMemoryLength != 0)
        {
            regions.Add(new GuestMemoryRegion(UpperMemoryStart, UpperMemoryLength, unchecked(hostAddress + (nint)LowMemoryLimit)));
        }

        if (HotAddLength != 0)
        {
            regions.Add(new GuestMemoryRegion(HotAddStart, HotAddLength, unchecked(hostAddress + (nint)MemorySize)));
        }

        return [.. regions];
    }
}
