using System.Buffers.Binary;
using System.Security.Cryptography;
using Lamina.Boot.Layout;
using Lamina.Machine.Processors;

namespace Lamina.Boot.Linux;

/// <summary>A bzImage, entered by the 32-bit or the 64-bit Linux boot protocol (Linux, Documentation/arch/x86/boot.rst). The header is hostile input.</summary>
internal sealed class LinuxKernel : IKernel
{
    /// <summary>Bytes of the file that hold the header.</summary>
    internal const int HeaderBytes = SetupHeaderOffset.HeaderEnd;

    private const uint HeaderSignature = 0x5372_6448;
    private const int OldestVersion = 0x206;
    private const int PreferredAddressVersion = 0x20a;
    private const int ExtendedLoadFlagsVersion = 0x20c;
    private const int SectorSize = 512;
    private const int ParagraphSize = 16;
    private const int DefaultSetupSectors = 4;
    private const byte LoadedHigh = 1;
    private const byte CanUseHeap = 0x80;
    private const byte KeepSegments = 0x40;
    private const ushort HasEntry64 = 1;
    private const ushort CanBeLoadedAbove4G = 2;
    private const ulong Entry64Offset = 0x200;
    private const byte UnregisteredLoader = 0xff;
    private const ushort NormalVideoMode = 0xffff;
    private const int BootParametersSize = 4096;
    private const int MemoryMapCapacity = 128;
    private const uint RandomSeedType = 9;
    private const int RandomSeedLength = 32;

    private readonly BootImageReader _image;
    private readonly byte[] _header;
    private readonly long _payloadOffset;
    private readonly long _payloadLength;
    private readonly ushort _extendedLoadFlags;

    /// <summary>Examines the header.</summary>
    /// <exception cref="BootException">It is not sound, or lacks the protocol that is wanted.</exception>
    internal LinuxKernel(BootImageReader image, BootProtocol wanted)
    {
        _image = image;
        _header = new byte[HeaderBytes];
        image.Read(0, _header);
        int version = Word(SetupHeaderOffset.Version);
        if (version < OldestVersion)
        {
            throw new BootException($"'{image.Name}' is a Linux kernel of boot protocol {version >> 8}.{version & 0xff:d2}; 2.06 or newer is accepted.");
        }

        if ((_header[SetupHeaderOffset.LoadFlags] & LoadedHigh) == 0)
        {
            throw new BootException($"'{image.Name}' is a zImage, which is loaded below 1 MiB; a bzImage is accepted.");
        }

        int sectors = _header[SetupHeaderOffset.SetupSectors];
        _payloadOffset = ((sectors == 0 ? DefaultSetupSectors : sectors) + 1L) * SectorSize;
        long claimed = (long)DoubleWord(SetupHeaderOffset.ProtectedModeParagraphs) * ParagraphSize;
        long present = image.Length - _payloadOffset;
        if (claimed == 0 || present <= 0 || claimed - present >= ParagraphSize)
        {
            throw new BootException($"'{image.Name}' is truncated: its header tells of {_payloadOffset + claimed} bytes, and it has {image.Length}.");
        }

        _payloadLength = Math.Min(claimed, present);
        _extendedLoadFlags = version >= ExtendedLoadFlagsVersion ? Word(SetupHeaderOffset.ExtendedLoadFlags) : (ushort)0;
        Protocol = Choose(wanted);
        (Start, End) = Place(version);
        InitrdMaximumAddress = DoubleWord(SetupHeaderOffset.InitrdMaximumAddress);
        if (Protocol == BootProtocol.Linux64 && (_extendedLoadFlags & CanBeLoadedAbove4G) != 0)
        {
            InitrdMaximumAddress = ulong.MaxValue;
        }

        uint longest = DoubleWord(SetupHeaderOffset.CommandLineSize);
        CommandLineMaximumLength = (int)Math.Min(longest == 0 ? 255 : longest, BootArea.CommandLineCapacity - 1);
    }

    /// <inheritdoc/>
    public BootProtocol Protocol { get; }

    /// <inheritdoc/>
    public ulong Start { get; }

    /// <inheritdoc/>
    public ulong End { get; }

    /// <inheritdoc/>
    public ulong InitrdMaximumAddress { get; }

    /// <inheritdoc/>
    public int CommandLineMaximumLength { get; }

    /// <summary>Whether the first bytes of a file are those of a Linux image.</summary>
    internal static bool Recognizes(ReadOnlySpan<byte> start)
    {
        return start.Length >= HeaderBytes
            && BinaryPrimitives.ReadUInt32LittleEndian(start[SetupHeaderOffset.Signature..]) == HeaderSignature
            && BinaryPrimitives.ReadUInt16LittleEndian(start[SetupHeaderOffset.BootSignature..]) == 0xaa55;
    }

    /// <inheritdoc/>
    public void Load(BootTarget target, in Handover handover)
    {
        target.Copy(_image, _payloadOffset, _payloadLength, Start);
        bool longMode = Protocol == BootProtocol.Linux64;
        FlatProtectedMode.WriteDescriptors(target, longMode);
        if (longMode)
        {
            FlatProtectedMode.WritePageTables(target);
        }

        WriteRandomSeed(target);
        target.Write(BootArea.BootParameters, CreateBootParameters(target.Layout, handover));
    }

    /// <inheritdoc/>
    public void SetEntryState(ProcessorState state)
    {
        const int Rsi = 6;
        bool longMode = Protocol == BootProtocol.Linux64;
        FlatProtectedMode.SetState(state, longMode, longMode ? Start + Entry64Offset : Start);
        state.GeneralRegisters[Rsi] = BootArea.BootParameters;
    }

    private byte[] CreateBootParameters(MachineLayout layout, in Handover handover)
    {
        byte[] parameters = new byte[BootParametersSize];
        int headerEnd = Math.Min(SetupHeaderOffset.Signature + _header[SetupHeaderOffset.HeaderLengthFromSignature], SetupHeaderOffset.HeaderEnd);
        _header.AsSpan(SetupHeaderOffset.SetupSectors..headerEnd).CopyTo(parameters.AsSpan(SetupHeaderOffset.SetupSectors));

        parameters[SetupHeaderOffset.LoaderType] = UnregisteredLoader;
        parameters[SetupHeaderOffset.LoadFlags] = (byte)((_header[SetupHeaderOffset.LoadFlags] | CanUseHeap) & ~KeepSegments);
        Put(parameters, SetupHeaderOffset.VideoMode, NormalVideoMode);
        Put(parameters, SetupHeaderOffset.HeapEnd, (ushort)0xfe00);
        Put(parameters, SetupHeaderOffset.Code32Start, (uint)Start);
        Put(parameters, SetupHeaderOffset.CommandLine, (uint)BootArea.CommandLine);
        Put(parameters, SetupHeaderOffset.RamdiskImage, (uint)handover.InitrdAddress);
        Put(parameters, SetupHeaderOffset.RamdiskSize, (uint)handover.InitrdLength);
        Put(parameters, SetupHeaderOffset.ExtendedRamdiskImage, (uint)(handover.InitrdAddress >> 32));
        Put(parameters, SetupHeaderOffset.ExtendedRamdiskSize, (uint)(handover.InitrdLength >> 32));
        BinaryPrimitives.WriteUInt64LittleEndian(parameters.AsSpan(SetupHeaderOffset.SetupData), BootArea.SetupData);
        BinaryPrimitives.WriteUInt64LittleEndian(parameters.AsSpan(SetupHeaderOffset.RootPointer), handover.RootPointerAddress);
        WriteMemoryMap(parameters, layout);
        return parameters;
    }

    private static void WriteMemoryMap(byte[] parameters, MachineLayout layout)
    {
        int count = Math.Min(layout.MemoryMap.Count, MemoryMapCapacity);
        parameters[SetupHeaderOffset.MemoryMapCount] = (byte)count;
        for (int i = 0; i < count; i++)
        {
            Span<byte> entry = parameters.AsSpan(SetupHeaderOffset.MemoryMap + 20 * i, 20);
            MemoryRange range = layout.MemoryMap[i];
            BinaryPrimitives.WriteUInt64LittleEndian(entry, range.Address);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], range.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)range.Type);
        }
    }

    // A seed for the kernel's random numbers: a node of the setup data list (next, type, length, bytes). Kernels that do not know the type skip it.
    private static void WriteRandomSeed(BootTarget target)
    {
        Span<byte> node = stackalloc byte[16 + RandomSeedLength];
        BinaryPrimitives.WriteUInt64LittleEndian(node, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(node[8..], RandomSeedType);
        BinaryPrimitives.WriteUInt32LittleEndian(node[12..], RandomSeedLength);
        RandomNumberGenerator.Fill(node[16..]);
        target.Write(BootArea.SetupData, node);
    }

    private static void Put(byte[] parameters, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(parameters.AsSpan(offset), value);

    private static void Put(byte[] parameters, int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(parameters.AsSpan(offset), value);

    private BootProtocol Choose(BootProtocol wanted)
    {
        bool has64 = (_extendedLoadFlags & HasEntry64) != 0;
        return wanted switch
        {
            BootProtocol.Automatic => has64 ? BootProtocol.Linux64 : BootProtocol.Linux32,
            BootProtocol.Linux64 when !has64 => throw new BootException($"'{_image.Name}' has no 64-bit entry; the 32-bit protocol is accepted."),
            BootProtocol.Pvh => throw new BootException($"'{_image.Name}' is a bzImage, which has no PVH entry; the 64-bit or 32-bit protocol is accepted."),
            _ => wanted,
        };
    }

    private (ulong Start, ulong End) Place(int version)
    {
        bool relocatable = _header[SetupHeaderOffset.Relocatable] != 0;
        ulong alignment = Math.Max(DoubleWord(SetupHeaderOffset.Alignment), 1);
        bool hasPreference = version >= PreferredAddressVersion;
        ulong start = hasPreference ? BinaryPrimitives.ReadUInt64LittleEndian(_header.AsSpan(SetupHeaderOffset.PreferredAddress)) : MachineLayout.HighMemoryStart;

        // Unpacking in place, a kernel without a stated need takes a few times its size.
        ulong need = Math.Max(hasPreference ? DoubleWord(SetupHeaderOffset.InitSize) : 4 * (ulong)_payloadLength, (ulong)_payloadLength);
        if (start < MachineLayout.HighMemoryStart || start >= MachineLayout.LowMemoryLimit || (relocatable && start % alignment != 0))
        {
            throw new BootException($"'{_image.Name}' wants to be loaded at 0x{start:x}; an aligned address from 1 MiB to 0x{MachineLayout.LowMemoryLimit:x} is accepted.");
        }

        return (start, start + need);
    }

    private ushort Word(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_header.AsSpan(offset));

    private uint DoubleWord(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_header.AsSpan(offset));
}
