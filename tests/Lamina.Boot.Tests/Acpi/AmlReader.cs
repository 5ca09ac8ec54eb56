using System.Text;

namespace Lamina.Boot.Tests.Acpi;

/// <summary>
/// Decodes the AML that the DSDT uses into a tree (ACPI 6.5, chapter 20), on its own knowledge of the encoding. Anything else fails the test.
/// </summary>
internal sealed class AmlReader(byte[] code)
{
    private int _at;

    /// <summary>Names and their values by absolute path; devices and scopes have the value "device" or "scope".</summary>
    public Dictionary<string, object> Names { get; } = [];

    public void ReadAll(int start)
    {
        _at = start;
        ReadTerms("\\", code.Length);
    }

    private void ReadTerms(string scope, int end)
    {
        while (_at < end)
        {
            ReadTerm(scope);
        }

        Assert.Equal(end, _at);
    }

    private void ReadTerm(string scope)
    {
        byte opcode = code[_at++];
        switch (opcode)
        {
            case 0x08:
                string name = ReadName(scope);
                Assert.True(Names.TryAdd(name, ReadValue()), $"{name} is there twice.");
                break;
            case 0x10:
                int end = ReadLength();
                ReadTerms(ReadName(scope), end);
                break;
            case 0x14:
                end = ReadLength();
                name = ReadName(scope);
                Names.Add(name, code[_at..end]);
                _at = end;
                break;
            case 0x5b when code[_at] == 0x82:
                _at++;
                end = ReadLength();
                name = ReadName(scope);
                Assert.True(Names.TryAdd(name, "device"), $"{name} is there twice.");
                ReadTerms(name, end);
                break;
            case 0x5b when code[_at] == 0x80:
                _at++;
                name = ReadName(scope);
                byte space = code[_at++];
                Names.Add(name, (space, (ulong)ReadValue(), (ulong)ReadValue()));
                break;
            case 0x5b when code[_at] == 0x81:
                _at++;
                end = ReadLength();
                string region = ReadName(scope);
                byte flags = code[_at++];
                for (int bit = 0; _at < end; bit += 32)
                {
                    name = ReadName(scope);
                    Assert.Equal(32, code[_at++]);
                    Names.Add(name, (region, bit, flags));
                }

                break;
            default:
                Assert.Fail($"Unexpected AML opcode 0x{opcode:x2} at {_at - 1}.");
                break;
        }
    }

    private object ReadValue()
    {
        byte opcode = code[_at++];
        switch (opcode)
        {
            case 0x00:
                return 0UL;
            case 0x01:
                return 1UL;
            case 0x0a:
                return ReadInteger(1);
            case 0x0b:
                return ReadInteger(2);
            case 0x0c:
                return ReadInteger(4);
            case 0x0e:
                return ReadInteger(8);
            case 0x0d:
                int zero = Array.IndexOf(code, (byte)0, _at);
                string text = Encoding.ASCII.GetString(code[_at..zero]);
                _at = zero + 1;
                return text;
            case 0x11:
                int end = ReadLength();
                ulong size = (ulong)ReadValue();
                Assert.Equal(size, (ulong)(end - _at));
                byte[] content = code[_at..end];
                _at = end;
                return content;
            case 0x12:
                end = ReadLength();
                object[] items = new object[code[_at++]];
                for (int i = 0; i < items.Length; i++)
                {
                    items[i] = ReadValue();
                }

                Assert.Equal(end, _at);
                return items;
            default:
                Assert.Fail($"Unexpected AML value 0x{opcode:x2} at {_at - 1}.");
                return 0UL;
        }
    }

    private ulong ReadInteger(int length)
    {
        ulong value = 0;
        for (int i = 0; i < length; i++)
        {
            value |= (ulong)code[_at++] << (8 * i);
        }

        return value;
    }

    // The end of the package.
    private int ReadLength()
    {
        int start = _at;
        byte lead = code[_at++];
        int extra = lead >> 6;
        int length = extra == 0 ? lead & 0x3f : lead & 0x0f;
        for (int i = 0; i < extra; i++)
        {
            length |= code[_at++] << (4 + (8 * i));
        }

        Assert.True(start + length <= code.Length, "A package leaves the table.");
        return start + length;
    }

    private string ReadName(string scope)
    {
        if (code[_at] == '\\')
        {
            scope = "\\";
            _at++;
        }

        int count = 1;
        if (code[_at] == 0x2e)
        {
            count = 2;
            _at++;
        }

        for (int i = 0; i < count; i++)
        {
            string segment = Encoding.ASCII.GetString(code, _at, 4);
            Assert.Matches("^[A-Z_][A-Z0-9_]{3}$", segment);
            scope += (scope.Length > 1 ? "." : string.Empty) + segment;
            _at += 4;
        }

        return scope;
    }
}
