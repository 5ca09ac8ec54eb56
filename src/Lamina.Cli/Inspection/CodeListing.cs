using System.Globalization;
using Iced.Intel;

namespace Lamina.Cli.Inspection;

/// <summary>Writes machine code for a person: address, bytes, instruction.</summary>
internal static class CodeListing
{
    private const int BytesColumn = 32;

    private const int BytesInLine = 8;

    /// <summary>Writes guest code: instructions and nothing else.</summary>
    public static void WriteGuest(TextWriter output, ReadOnlySpan<byte> code, ulong address) => Write(output, code, address, null);

    /// <summary>Writes translated code.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="code">The code.</param>
    /// <param name="address">Where it is executed.</param>
    /// <param name="callData">Behind calls of which addresses stand how many bytes of data.</param>
    public static void WriteHost(TextWriter output, ReadOnlySpan<byte> code, ulong address, IReadOnlyDictionary<nint, int> callData) => Write(output, code, address, callData);

    private static void Write(TextWriter output, ReadOnlySpan<byte> code, ulong address, IReadOnlyDictionary<nint, int>? callData)
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
            if (callData != null && i.IsCallNear && callData.TryGetValue((nint)i.NearBranchTarget, out int data))
            {
                offset += length;
                data = Math.Min(data, bytes.Length - offset);
                WriteData(output, bytes.AsSpan(offset, data), address + (ulong)offset);
                reader.Position = offset + data;
                decoder.IP = address + (ulong)(offset + data);
            }
        }
    }

    private static void WriteData(TextWriter output, ReadOnlySpan<byte> data, ulong address)
    {
        for (int at = 0; at < data.Length; at += BytesInLine)
        {
            WriteLine(output, address + (ulong)at, data[at..Math.Min(at + BytesInLine, data.Length)], "data");
        }
    }

    private static void WriteLine(TextWriter output, ulong address, ReadOnlySpan<byte> bytes, string text)
    {
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {address:x16}  {Convert.ToHexStringLower(bytes),-BytesColumn} {text}"));
    }
}
