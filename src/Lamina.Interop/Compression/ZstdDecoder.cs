using System.Runtime.InteropServices;

namespace Lamina.Interop.Compression;

/// <summary>Decompresses zstd with the host's library, which is loaded when it is first needed.</summary>
public static unsafe partial class ZstdDecoder
{
    private const string Library = "libzstd.so.1";

    /// <summary>Whether the host has the library.</summary>
    public static bool IsAvailable { get; } = NativeLibrary.TryLoad(Library, out _);

    /// <summary>Decompresses from the start of a buffer until another is full. What follows is not looked at.</summary>
    /// <returns>Whether there was so much, undamaged.</returns>
    public static bool TryDecode(ReadOnlySpan<byte> packed, Span<byte> content)
    {
        nint stream = IsAvailable ? CreateStream() : 0;
        if (stream == 0)
        {
            return false;
        }

        // SAFETY: both buffers are pinned for the calls, and the library keeps to their lengths.
        fixed (byte* source = packed)
        {
            fixed (byte* target = content)
            {
                Buffer input = new() { Address = (nint)source, Length = (nuint)packed.Length };
                Buffer output = new() { Address = (nint)target, Length = (nuint)content.Length };
                bool good = true;
                while (good && output.Position < output.Length)
                {
                    nuint before = output.Position + input.Position;
                    nuint result = Decompress(stream, &output, &input);
                    good = IsError(result) == 0 && output.Position + input.Position != before;
                }

                _ = FreeStream(stream);
                return good;
            }
        }
    }

    [LibraryImport(Library, EntryPoint = "ZSTD_createDStream")]
    private static partial nint CreateStream();

    [LibraryImport(Library, EntryPoint = "ZSTD_freeDStream")]
    private static partial nuint FreeStream(nint stream);

    [LibraryImport(Library, EntryPoint = "ZSTD_decompressStream")]
    private static partial nuint Decompress(nint stream, Buffer* output, Buffer* input);

    [LibraryImport(Library, EntryPoint = "ZSTD_isError")]
    private static partial uint IsError(nuint code);

    // ZSTD_inBuffer and ZSTD_outBuffer, which have the same layout.
    [StructLayout(LayoutKind.Sequential)]
    private struct Buffer
    {
        public nint Address;
        public nuint Length;
        public nuint Position;
    }
}
