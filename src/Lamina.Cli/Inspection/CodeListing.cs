using System.Globalization;
using Iced.Intel;

namespace Lamina.Cli.Inspection;

/// <summary>Writes machine code for a person: address, bytes, instruction.</summary>
internal static class CodeListing
{
    private const int BytesColumn = 32;

    /// <summary>Writes guest code: instructions and nothing else.</summary>
    public static void WriteGuest(TextWriter output, ReadOnlySpan<byte> code, ulong address) => Write(output, code, address, skipsData: false);

    /// <summary>Writes translated code, where words of data stand behind each call.</summary>
    public static void WriteHost(TextWriter output, ReadOnlySpan<byte> code, ulong address) => Write(output, code, address, skipsData: true);

    private static void Write(TextWriter output, ReadOnlySpan<byte> code, ulong address, bool skipsData)
    {
        byte[] bytes = code.ToArray();
        ByteArrayCodeReader reader = new(bytes);
        Decoder decoder = Decoder.Create(64, reader);
        decoder.IP = address;
        NasmFormatter formatter = new();
        StringOutput text = new();
        ulong end = address + (ulong)bytes.Length;
        while (decoder.IP < end)
        {
            decoder.Decode(out Instruction i);
            int offset = (int)(i.IP - address);
            int length = Math.Min(i.Length, bytes.Length - offset);
            formatter.Format(i, text);
            WriteLine(output, i.IP, bytes.AsSpan(offset, length), text.ToStringAndReset());
            if (skipsData && i.Mnemonic == Mnemonic.Call && i.IsCallNear)
            {
                WriteData(output, bytes, ref reader, decoder, address);
            }
        }
    }

    // Data are whole words of 8 bytes: addresses of guest code, of decoded instructions, or of code. How many, only the routine knows; what follows is taken
    // for data while it looks like an address.
    private static void WriteData(TextWriter output, byte[] bytes, ref ByteArrayCodeReader reader, Decoder decoder, ulong address)
    {
        int offset = (int)(decoder.IP - address);
        while (bytes.Length - offset >= 8 && IsAddress(BitConverter.ToUInt64(bytes, offset)))
        {
            WriteLine(output, address + (ulong)offset, bytes.AsSpan(offset, 8), $"dq {BitConverter.ToUInt64(bytes, offset):x}h");
            offset += 8;
        }

        reader.Position = offset;
        decoder.IP = address + (ulong)offset;
    }

    private static bool IsAddress(ulong value) => value >> 47 is 0 or 0x1ffff;

    private static void WriteLine(TextWriter output, ulong address, ReadOnlySpan<byte> bytes, string text)
    {
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {address:x16}  {Convert.ToHexStringLower(bytes),-BytesColumn} {text}"));
    }
}
