#include <linux/fs.h>
#include <linux/fileattr.h>
int probe(struct dentry *dentry, struct file_kattr *fa);
int probe(struct dentry *dentry, struct file_kattr *fa)
{
	return vfs_fileattr_get(dentry, fa);
}
