using System.Buffers.Binary;
using Lamina.Boot.Layout;

namespace Lamina.Boot.Multiboot;

/// <summary>The structure that a Multiboot image finds in EBX, with its list of modules, its memory map and its texts behind it (section 3.3).</summary>
internal static class MultibootInformation
{
    private const uint HasMemory = 1 << 0;
    private const uint HasCommandLine = 1 << 2;
    private const uint HasModules = 1 << 3;
    private const uint HasMemoryMap = 1 << 6;
    private const uint HasLoaderName = 1 << 9;
    private const int Size = 120;
    private const int ModuleSize = 16;
    private const int MapEntrySize = 24;
    private const int Kibibyte = 1024;

    private static ReadOnlySpan<byte> LoaderName => "Lamina\0"u8;

    private static ReadOnlySpan<byte> ModuleName => "initrd\0"u8;

    /// <summary>Makes it for <see cref="BootArea.StartInformation"/>.</summary>
    internal static byte[] Create(MachineLayout layout, in Handover handover)
    {
        const int Modules = Size;
        const int Map = Modules + ModuleSize;
        int texts = Map + layout.MemoryMap.Count * MapEntrySize;
        byte[] bytes = new byte[texts + LoaderName.Length + ModuleName.Length];
        bool hasModule = handover.InitrdLength != 0;
        LoaderName.CopyTo(bytes.AsSpan(texts));
        ModuleName.CopyTo(bytes.AsSpan(texts + LoaderName.Length));

        Put(bytes, 0, HasMemory | HasCommandLine | HasModules | HasMemoryMap | HasLoaderName);
        Put(bytes, 4, MachineLayout.ExtendedBiosData / Kibibyte);
        Put(bytes, 8, (layout.LowMemoryEnd - MachineLayout.HighMemoryStart) / Kibibyte);
        Put(bytes, 16, BootArea.CommandLine);
        Put(bytes, 20, hasModule ? 1u : 0u);
        Put(bytes, 24, BootArea.StartInformation + Modules);
        Put(bytes, 44, (uint)(layout.MemoryMap.Count * MapEntrySize));
        Put(bytes, 48, BootArea.StartInformation + Map);
        Put(bytes, 64, BootArea.StartInformation + (ulong)texts);
        if (hasModule)
        {
            Put(bytes, Modules, handover.InitrdAddress);
            Put(bytes, Modules + 4, handover.InitrdAddress + handover.InitrdLength);
            Put(bytes, Modules + 8, BootArea.StartInformation + (ulong)(texts + LoaderName.Length));
        }

        int offset = Map;
        foreach (MemoryRange range in layout.MemoryMap)
        {
            Put(bytes, offset, MapEntrySize - sizeof(uint));
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset + 4), range.Address);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset + 12), range.Length);
            Put(bytes, offset + 20, (uint)range.Type);
            offset += MapEntrySize;
        }

        return bytes;
    }

    // Every field is 32 bits wide, and everything that is pointed to is below 4 GiB.
    private static void Put(byte[] bytes, int offset, ulong value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), checked((uint)value));
}
