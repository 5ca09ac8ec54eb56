using System.Security.Cryptography;
using System.Text;

namespace Lamina.Vmm.Devices;

/// <summary>Makes hardware addresses: always the same for a machine's name and the number of its card, and locally administered.</summary>
internal static class HardwareAddress
{
    /// <summary>Makes one.</summary>
    internal static byte[] Create(string machine, int number)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(null, $"lamina {number} {machine}")));
        return [0x02, .. hash.AsSpan(0, 5)];
    }
}
