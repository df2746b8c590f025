# The content of your site as an image:
#
#     docker build -t registry.example.org/lectern-content:1 -f deploy/kubernetes/content.Dockerfile path/to/docs
#
# Each pod copies it when it starts, so there has to be `cp` in it.
FROM busybox:1.37
# Readable for the user that the pods run as, whatever the modes are where it is built.
COPY --chmod=755 . /content
