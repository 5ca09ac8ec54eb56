using Lamina.Interop.Files;
using Lamina.Interop.Memory;

namespace Lamina.Interop.Tests.Files;

public sealed class BlockFileTests
{
    [Fact]
    public void AFileInMemoryIsReadAtOnce()
    {
        byte[] written = new byte[8192];
        written.AsSpan().Fill(7);
        using MemoryFile memory = MemoryFile.Create("test", 8192);
        using BlockFile file = BlockFile.Adopt(BlockFile.Duplicate(memory.Descriptor), "test");
        Assert.Equal(0, file.WriteAt(0, written));

        using MemoryMapping room = MemoryMapping.CreateAnonymous(8192);
        for (int i = 0; i < 2; i++)
        {
            room.GetSpan(0, 8192).Clear();
            int error = file.TryReadNow(0, [new IoVector(room.Address, 8192)], 8192);
            Assert.True(error == 0, $"The file's memory is not read without waiting: errno {error}, at read {i}.");
            Assert.True(room.GetSpan(0, 8192).SequenceEqual(written), $"Read {i} does not bring what was written.");
        }
    }
}
