using System.Buffers.Binary;

namespace Lamina.Personalities.Xen.Calls;

/// <summary>xen_version.</summary>
internal static class VersionOperations
{
    /// <summary>The version that is shown: 4.17.</summary>
    internal const uint Version = (4 << 16) | 17;

    private const uint GetVersion = 0;
    private const uint GetExtraVersion = 1;
    private const uint GetCompileInformation = 2;
    private const uint GetCapabilities = 3;
    private const uint GetChangeSet = 4;
    private const uint GetPlatformParameters = 5;
    private const uint GetFeatures = 6;
    private const uint GetPageSize = 7;
    private const uint GetGuestHandle = 8;
    private const uint GetCommandLine = 9;

    // Page tables are the guest's own; events come by vector; the clock is right under every processor.
    private const uint Features = (1 << 0) | (1 << 2) | (1 << 8) | (1 << 9);
    private const uint PhysicalInterrupts = 1 << 10;

    /// <summary>Executes one.</summary>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="interrupts">Whether interrupts of devices may have event channels.</param>
    internal static long Execute(in CallArguments arguments, bool interrupts)
    {
        return arguments.Command switch
        {
            GetVersion => Version,
            GetExtraVersion => Write(arguments, ".0-lamina"u8, 16),
            GetCompileInformation => Write(arguments, ""u8, 144),
            GetCapabilities => Write(arguments, "xen-3.0-x86_64 hvm-3.0-x86_64 "u8, 1024),
            GetChangeSet => Write(arguments, ""u8, 64),
            GetPlatformParameters => arguments.TryWrite(arguments.Second, 0UL) ? 0 : XenError.BadAddress,
            GetFeatures => WriteFeatures(arguments, interrupts ? Features | PhysicalInterrupts : Features),
            GetPageSize => Machine.Memory.GuestMemory.PageSize,
            GetGuestHandle => Write(arguments, ""u8, 16),
            GetCommandLine => Write(arguments, ""u8, 1024),
            _ => XenError.NoSuchCall,
        };
    }

    private static long Write(in CallArguments arguments, ReadOnlySpan<byte> text, int length)
    {
        const int Longest = 1024;
        Span<byte> field = stackalloc byte[Longest];
        field.Clear();
        text.CopyTo(field);
        return arguments.TryWrite(arguments.Second, field[..length]) ? 0 : XenError.BadAddress;
    }

    private static long WriteFeatures(in CallArguments arguments, uint features)
    {
        Span<byte> argument = stackalloc byte[8];
        if (!arguments.TryRead(arguments.Second, argument))
        {
            return XenError.BadAddress;
        }

        return arguments.TryWrite(arguments.Second + 4, BinaryPrimitives.ReadUInt32LittleEndian(argument) == 0 ? features : 0) ? 0 : XenError.BadAddress;
    }
}
