namespace Lamina.Boot.Linux;

/// <summary>Offsets in the first sectors of a Linux image, and so in the boot parameters (Linux, Documentation/arch/x86/boot.rst and zero-page.rst).</summary>
internal static class SetupHeaderOffset
{
    internal const int RootPointer = 0x070;
    internal const int ExtendedRamdiskImage = 0x0c0;
    internal const int ExtendedRamdiskSize = 0x0c4;
    internal const int ExtendedCommandLine = 0x0c8;
    internal const int MemoryMapCount = 0x1e8;
    internal const int SetupSectors = 0x1f1;
    internal const int ProtectedModeParagraphs = 0x1f4;
    internal const int VideoMode = 0x1fa;
    internal const int BootSignature = 0x1fe;
    internal const int HeaderLengthFromSignature = 0x201;
    internal const int Signature = 0x202;
    internal const int Version = 0x206;
    internal const int LoaderType = 0x210;
    internal const int LoadFlags = 0x211;
    internal const int Code32Start = 0x214;
    internal const int RamdiskImage = 0x218;
    internal const int RamdiskSize = 0x21c;
    internal const int HeapEnd = 0x224;
    internal const int CommandLine = 0x228;
    internal const int InitrdMaximumAddress = 0x22c;
    internal const int Alignment = 0x230;
    internal const int Relocatable = 0x234;
    internal const int ExtendedLoadFlags = 0x236;
    internal const int CommandLineSize = 0x238;
    internal const int SetupData = 0x250;
    internal const int PreferredAddress = 0x258;
    internal const int InitSize = 0x260;
    internal const int HeaderEnd = 0x290;
    internal const int MemoryMap = 0x2d0;
}
