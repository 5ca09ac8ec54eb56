using System.Buffers.Binary;
using Lamina.Personalities.Network;

namespace Lamina.Personalities.Tests.Network;

/// <summary>The receive hash, by the examples of Microsoft's "Verifying the RSS hash calculation".</summary>
public sealed class ReceiveHashTests
{
    private const string Key = "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa";

    [Theory]
    [InlineData("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323e_8fc2u, 0x51cc_c178u)]
    [InlineData("199.92.111.2", 14230, "65.69.140.83", 4739, 0xd718_262au, 0xc626_b0eau)]
    [InlineData("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x2cc1_8cd5u, 0x4020_7d3du)]
    [InlineData("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0x0f0c_461cu, 0xdde5_1bbfu)]
    public void ItIsTheOneOfTheExamples(string from, int fromPort, string to, int toPort, uint addresses, uint withPorts)
    {
        ReceiveHash hash = new();
        hash.SetKey(Convert.FromHexString(Key));
        byte[] source = System.Net.IPAddress.Parse(from).GetAddressBytes();
        byte[] frame = new byte[14 + (source.Length == 4 ? 20 : 40) + 20];
        bool isOld = source.Length == 4;
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), (ushort)(isOld ? 0x800 : 0x86dd));
        frame[14] = (byte)(isOld ? 0x45 : 0x60);
        frame[isOld ? 23 : 20] = 6;
        source.CopyTo(frame, isOld ? 26 : 22);
        System.Net.IPAddress.Parse(to).GetAddressBytes().CopyTo(frame, isOld ? 30 : 38);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(isOld ? 34 : 54), (ushort)fromPort);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(isOld ? 36 : 56), (ushort)toPort);
        HashKinds ip = isOld ? HashKinds.Ip4 : HashKinds.Ip6;
        HashKinds tcp = isOld ? HashKinds.Tcp4 : HashKinds.Tcp6;
        Assert.Equal(ip, hash.Compute(frame, ip, out uint two));
        Assert.Equal(tcp, hash.Compute(frame, HashKinds.All, out uint four));
        Assert.Equal((addresses, withPorts), (two, four));
        Assert.Equal(HashKinds.None, hash.Compute(frame, HashKinds.All & ~(ip | tcp), out _));

        // A part of a packet has no ports.
        if (isOld)
        {
            frame[20] = 0x20;
            Assert.Equal(ip, hash.Compute(frame, HashKinds.All, out uint part));
            Assert.Equal(two, part);
            Assert.Equal(HashKinds.None, hash.Compute(frame, tcp, out _));
        }

        for (int length = 0; length < (isOld ? 34 : 54); length++)
        {
            Assert.Equal(HashKinds.None, hash.Compute(frame.AsSpan(0, length), HashKinds.All, out _));
        }
    }
}
