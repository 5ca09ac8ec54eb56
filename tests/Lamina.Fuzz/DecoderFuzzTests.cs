using Lamina.Interop.Memory;
using Lamina.SoftCpu.Decode;

namespace Lamina.Fuzz;

/// <summary>The decoder reads no byte behind those that there are (the page after them faults), and an instruction is as long as what it read, at most 15 bytes.</summary>
public sealed unsafe class DecoderFuzzTests
{
    private const int PageSize = 4096;
    private static readonly byte[] Openings = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x40, 0x48, 0x4f, 0x0f, 0xc4, 0xc5, 0x62, 0x8f, 0xd8, 0xff];

    [Fact]
    public void NoBytesAreDecodedBeyondTheirEnd()
    {
        FuzzLoop.Run("decoder", static random =>
        {
            using ExecutableMemory memory = ExecutableMemory.Map(2 * PageSize);
            Span<byte> code = stackalloc byte[15];
            for (int step = 0; step < 20_000; step++)
            {
                int length = random.Next(16);
                random.NextBytes(code);
                for (int i = 0; i < length && random.Next(3) != 0; i++)
                {
                    code[i] = Openings[random.Next(Openings.Length)];
                }

                // SAFETY: the last bytes of a mapped page.
                byte* start = memory.WritePointer + (2 * PageSize) - length;
                code[..length].CopyTo(new Span<byte>(start, length));
                int size = 2 << random.Next(3);
                DecodeStatus status = Decoder.Decode(start, length, size, out Instruction instruction);
                if (status == DecodeStatus.Done)
                {
                    Assert.True(instruction.Length >= 1 && instruction.Length <= length, $"{Convert.ToHexString(code[..length])} in code of {size} bytes has {instruction.Length} bytes.");

                    // What was not read does not matter.
                    for (int i = instruction.Length; i < length; i++)
                    {
                        start[i] ^= 0x5a;
                    }

                    Assert.Equal(DecodeStatus.Done, Decoder.Decode(start, length, size, out Instruction again));
                    Assert.Equal(instruction.Length, again.Length);
                    Assert.Equal(DecodeStatus.Truncated, Decoder.Decode(start, instruction.Length - 1, size, out _));
                }
                else
                {
                    Assert.True(status is DecodeStatus.Truncated or DecodeStatus.TooLong or DecodeStatus.Undefined, $"{Convert.ToHexString(code[..length])} gave {status}.");
                }
            }
        });
    }
}
